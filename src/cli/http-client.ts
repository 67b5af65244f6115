/**
 * The one place that names the HTTP client library. A module of its own, so that it is loaded with
 * the first request: an agent, which only answers, does without it.
 */
export { Agent as HttpAgent, request } from 'undici';
