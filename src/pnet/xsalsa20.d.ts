/** The stream cipher of a private network; its package brings no types. */
declare module 'xsalsa20' {
  export interface Xor {
    update(input: Uint8Array): Uint8Array;
    /** Gives the state back; exactly once, and nothing may be ciphered after it. */
    finalize(): void;
  }
  export default function xsalsa20(nonce: Uint8Array, key: Uint8Array): Xor;
}
