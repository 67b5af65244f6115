/** Balances: attoFIL as the node tells them, FIL for people. Never through a float. */

const attoPerFil = 10n ** 18n;

/** `1500000000000000000` is `1.5 FIL`; null if it is no whole number. */
export function filText(atto: string): string | null {
  if (!/^-?\d{1,60}$/.test(atto)) return null;
  const value = BigInt(atto);
  const size = value < 0n ? -value : value;
  const rest = (size % attoPerFil).toString().padStart(18, '0').replace(/0+$/, '');
  return `${value < 0n ? '-' : ''}${size / attoPerFil}${rest === '' ? '' : `.${rest}`} FIL`;
}
