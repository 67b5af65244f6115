/**
 * Who may call: the name in `Host` must be ours (a page of another site can't reach us by DNS
 * rebinding), a browser's cross-site request changes nothing, and the token is asked for wherever
 * something changes or the port listens beyond loopback. Checked before a body is read.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { AgentError } from '../base/error.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether an address or name means this machine only. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const family = isIP(host);
  if (family === 0) return false;
  return loopback.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

/** The name in a Host header: lower case, without port and brackets; null if it is malformed. */
export function hostNameOf(header: string | undefined): string | null {
  if (header === undefined) return null;
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header);
  const name = match?.[1] ?? match?.[2];
  return name === undefined ? null : name.toLowerCase().replace(/\.$/, '');
}

export interface AccessRules {
  /** Address the port listens on. */
  readonly host: string;
  /** More names under which it may be called. */
  readonly names: readonly string[];
  readonly token: string;
}

export interface Access {
  /** Throws `forbidden` or `unauthorized`; `write` is what the route says. */
  check(request: FastifyRequest, write: boolean): void;
  /**
   * Whether a request of a program, with the token in its usual form, surely passes every check;
   * false says nothing against it.
   */
  allowsProgram(
    headers: { readonly host: string; readonly authorization: string },
    localAddress: string | undefined,
  ): boolean;
}

const safeVerbs = new Set(['GET', 'HEAD', 'OPTIONS']);

function refuseCrossSite(request: FastifyRequest): void {
  const { origin, host } = request.headers;
  const site = request.headers['sec-fetch-site'];
  const crossing = site === 'cross-site' || site === 'same-site';
  const strange = origin !== undefined && origin !== `http://${host}`;
  if (crossing || strange)
    throw new AgentError(
      'forbidden',
      `a request from another site (Origin ${origin ?? 'not given'}) is refused; ` +
        'call this port from a page of its own or from a program',
    );
}

const bearerOf = (header: string | undefined): string | undefined =>
  /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];

/** Programs that only know URLs send the token as the password; the user's name has no meaning. */
function passwordOf(header: string | undefined): string | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  const text = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8');
  return text.includes(':') ? text.slice(text.indexOf(':') + 1) : undefined;
}

export function createAccess(rules: AccessRules): Access {
  const names = new Set(rules.names.map((name) => name.toLowerCase()));
  const beyondLoopback = !isLoopback(rules.host);
  const wanted = hash('sha256', rules.token, 'buffer');

  const bearer = Buffer.from(`Bearer ${rules.token}`, 'utf8');
  let lastHost = { host: '', localAddress: '' };

  function isOurs(host: string | undefined, localAddress: string | undefined): boolean {
    const name = hostNameOf(host);
    if (name === null) return false;
    if (name === 'localhost' || names.has(name) || isLoopback(name)) return true;
    // An address can't be rebound: the one this connection came in on is as good as a name.
    return beyondLoopback && name === localAddress;
  }

  function checkHost(request: FastifyRequest): void {
    if (isOurs(request.headers.host, request.socket.localAddress)) return;
    throw new AgentError(
      'forbidden',
      `Host '${request.headers.host ?? ''}' is none of this node's names; use 127.0.0.1, ` +
        "localhost or a name from 'httpHosts' in its config",
    );
  }

  function checkToken(request: FastifyRequest): void {
    const { authorization } = request.headers;
    const given = bearerOf(authorization) ?? passwordOf(authorization);
    if (given !== undefined && timingSafeEqual(hash('sha256', given, 'buffer'), wanted)) return;
    throw new AgentError(
      'unauthorized',
      `${given === undefined ? 'no token was sent' : 'the token is wrong'}: send ` +
        "'Authorization: Bearer TOKEN'; it is in the file http.token of the node's data folder",
    );
  }

  return {
    allowsProgram: ({ host, authorization }, localAddress = '') => {
      if (host !== lastHost.host || localAddress !== lastHost.localAddress) {
        if (!isOurs(host, localAddress)) return false;
        lastHost = { host, localAddress };
      }
      const given = Buffer.from(authorization, 'utf8');
      return given.length === bearer.length && timingSafeEqual(given, bearer);
    },
    check(request, write) {
      checkHost(request);
      if (!safeVerbs.has(request.method)) refuseCrossSite(request);
      if (write || beyondLoopback) checkToken(request);
    },
  };
}
