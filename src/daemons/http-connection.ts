/** The HTTP client that the daemons' APIs are asked with, loaded only where there is a daemon. */
export { Agent as HttpAgent, request } from 'undici';
