/**
 * The Filecoin JSON-RPC (2.0, at /rpc/v1) of Lotus and Forest. A method that the node doesn't have
 * or refuses costs the field that it fills and nothing else; a node that can't be asked at all is
 * an error of the whole look.
 */
import { z } from 'zod';
import { AgentError } from '../../base/error.ts';
import type { DaemonClient } from '../daemon-client.ts';

const bytesMax = 16 * 1024 * 1024;
const textMax = 200;

const answerSchema = z.object({
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string() }).nullish(),
});

export type RpcAnswer<T> =
  | { readonly type: 'value'; readonly value: T }
  /** The node has no such method. */
  | { readonly type: 'missing' }
  | { readonly type: 'refused'; readonly code: number; readonly text: string };

const methodNotFound = -32601;

export interface LotusRpc {
  /** Throws when the node can't be asked. */
  ask<T>(method: string, params: readonly unknown[], schema: z.ZodType<T>): Promise<RpcAnswer<T>>;
}

export function createLotusRpc(client: DaemonClient, signal: AbortSignal): LotusRpc {
  let id = 0;
  return {
    ask: async (method, params, schema) => {
      id += 1;
      const { result, error } = await client.json(answerSchema, {
        method: 'POST',
        path: '/rpc/v1',
        body: { jsonrpc: '2.0', id, method, params },
        signal,
        bytesMax,
      });
      if (error) {
        if (error.code === methodNotFound) return { type: 'missing' };
        return { type: 'refused', code: error.code, text: error.message.slice(0, textMax) };
      }
      const parsed = schema.safeParse(result);
      if (!parsed.success)
        throw new AgentError(
          'unavailable',
          `${method}: not what is expected: ${z.prettifyError(parsed.error).slice(0, textMax)}`,
        );
      return { type: 'value', value: parsed.data };
    },
  };
}

export const resultOf = <T>(answer: RpcAnswer<T>): T | null =>
  answer.type === 'value' ? answer.value : null;

/** Whoever asks without a token that is good enough. */
export const isUnauthorized = (answer: RpcAnswer<unknown>): boolean =>
  answer.type === 'refused' && (answer.code === -32003 || /permission/i.test(answer.text));
