/**
 * The version of this build. The bundler replaces `__BELLWETHER_VERSION__`; run from source, there
 * is no such name and the version says so.
 */
declare const __BELLWETHER_VERSION__: string;

export const version: string =
  typeof __BELLWETHER_VERSION__ === 'string' ? __BELLWETHER_VERSION__ : '0.1.0-dev';
