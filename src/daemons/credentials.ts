/**
 * Credentials inside URLs, such as the token in the URL that a follower reads its configuration
 * from: daemons print them and write them down, and nobody else needs to see them.
 */
const inUrl = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@:"']*:[^\s/@"']*@/gi;

export const hideCredentials = (text: string): string => text.replace(inUrl, '$1***@');
