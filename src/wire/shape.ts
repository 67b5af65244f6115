/**
 * The short way through a schema: a plain function that says yes where the schema would accept a
 * value as it is. It is made from the schema itself, so there is one description; where it says no
 * the schema is asked, and only that finds out what is wrong. Schemas that transform, or use what
 * is not known here, are always asked.
 */
import type { z } from 'zod';

type Suits = (value: unknown) => boolean;

/** What of a schema's definition is looked at; everything else makes it unknown. */
interface Definition {
  readonly type: string;
  readonly checks?: readonly { readonly _zod: { readonly def: CheckDefinition } }[];
  readonly check?: string;
  readonly format?: string;
  readonly coerce?: boolean;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly catchall?: z.core.$ZodType;
  readonly element?: z.core.$ZodType;
  readonly innerType?: z.core.$ZodType;
  readonly keyType?: z.core.$ZodType;
  readonly valueType?: z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
  readonly discriminator?: string;
  readonly entries?: Readonly<Record<string, string | number>>;
  readonly values?: readonly unknown[];
  readonly fn?: (value: unknown) => unknown;
}

interface CheckDefinition {
  readonly check: string;
  readonly value?: unknown;
  readonly inclusive?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly length?: number;
  readonly format?: string;
  readonly pattern?: RegExp;
}

const known = new WeakMap<z.core.$ZodType, Suits>();
const never: Suits = () => false;

/** Whether the value is as the schema wants it; false: ask the schema. */
export function fits(schema: z.core.$ZodType, value: unknown): boolean {
  let shape = known.get(schema);
  if (shape === undefined) {
    shape = shapeOf(schema) ?? never;
    known.set(schema, shape);
  }
  return shape(value);
}

function shapeOf(schema: z.core.$ZodType): Suits | null {
  const definition = schema._zod.def as unknown as Definition;
  const base = baseOf(definition);
  if (base === null) return null;
  const checks: Suits[] = [base];
  for (const check of definition.checks ?? []) {
    const suits = checkOf(check._zod.def);
    if (suits === null) return null;
    checks.push(suits);
  }
  return checks.length === 1 ? base : (value) => checks.every((suits) => suits(value));
}

function baseOf(definition: Definition): Suits | null {
  const { coerce, check, format } = definition;
  if (coerce === true) return null;
  switch (definition.type) {
    case 'string':
      return check === undefined ? (value) => typeof value === 'string' : null;
    case 'number':
      if (check === undefined) return (value) => Number.isFinite(value);
      return format === 'safeint' ? (value) => Number.isSafeInteger(value) : null;
    case 'boolean':
      return (value) => typeof value === 'boolean';
    case 'unknown':
      return () => true;
    case 'custom': {
      const { fn } = definition;
      return fn === undefined ? null : (value) => Boolean(fn(value));
    }
    case 'enum':
      return oneOf(Object.values(definition.entries ?? {}));
    case 'literal':
      return oneOf(definition.values ?? []);
    case 'nullable':
      return inner(definition, (suits) => (value) => value === null || suits(value));
    case 'optional':
      return inner(definition, (suits) => (value) => value === undefined || suits(value));
    case 'array':
      return arrayOf(definition);
    case 'record':
      return recordOf(definition);
    case 'object':
      return objectOf(definition);
    case 'union':
      return unionOf(definition);
    default:
      return null;
  }
}

function oneOf(values: readonly unknown[]): Suits {
  const all = new Set(values);
  return (value) => all.has(value);
}

function inner({ innerType }: Definition, around: (suits: Suits) => Suits): Suits | null {
  const suits = innerType === undefined ? null : shapeOf(innerType);
  return suits === null ? null : around(suits);
}

function arrayOf({ element }: Definition): Suits | null {
  const suits = element === undefined ? null : shapeOf(element);
  if (suits === null) return null;
  return (value) => {
    if (!Array.isArray(value)) return false;
    for (let i = 0; i < value.length; i++) if (!suits(value[i])) return false;
    return true;
  };
}

/** A plain object whose fields are its own; one called `__proto__` is nobody's. */
const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' &&
  value !== null &&
  Object.getPrototypeOf(value) === Object.prototype &&
  !Object.hasOwn(value, '__proto__');

function recordOf({ keyType, valueType }: Definition): Suits | null {
  const key = keyType === undefined ? null : shapeOf(keyType);
  const item = valueType === undefined ? null : shapeOf(valueType);
  if (key === null || item === null) return null;
  return (value) =>
    isPlain(value) && Object.keys(value).every((name) => key(name) && item(value[name]));
}

/** Only objects that keep unknown fields: the others would change the value. */
function objectOf({ shape = {}, catchall }: Definition): Suits | null {
  if ((catchall?._zod.def as Definition | undefined)?.type !== 'unknown') return null;
  const names: string[] = [];
  const fields: Suits[] = [];
  for (const [name, schema] of Object.entries(shape)) {
    const suits = shapeOf(schema);
    if (suits === null) return null;
    names.push(name);
    fields.push(presentOr(schema, suits));
  }
  return (value) => {
    if (!isPlain(value)) return false;
    for (let i = 0; i < names.length; i++)
      if (!(fields[i] as Suits)(value[names[i] as string])) return false;
    return true;
  };
}

/** An absent field reads as undefined: only what is optional takes that. */
function presentOr(schema: z.core.$ZodType, suits: Suits): Suits {
  const { type } = schema._zod.def as unknown as Definition;
  return type === 'optional' ? suits : (value) => value !== undefined && suits(value);
}

function unionOf({ options = [], discriminator }: Definition): Suits | null {
  if (discriminator === undefined) return null;
  const byTag = new Map<unknown, Suits>();
  for (const option of options) {
    const definition = option._zod.def as unknown as Definition;
    const tag = definition.shape?.[discriminator]?._zod.def as unknown as Definition | undefined;
    const suits = shapeOf(option);
    if (suits === null || tag?.type !== 'literal') return null;
    for (const value of tag.values ?? []) byTag.set(value, suits);
  }
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    (byTag.get((value as Record<string, unknown>)[discriminator]) ?? never)(value);
}

const lengthOf = (value: unknown): number => (value as { readonly length: number }).length;

function checkOf(check: CheckDefinition): Suits | null {
  const { value: bound, inclusive, minimum = 0, maximum = 0, length = 0, pattern } = check;
  switch (check.check) {
    case 'greater_than':
      if (typeof bound !== 'number') return null;
      return (value) => (inclusive ? Number(value) >= bound : Number(value) > bound);
    case 'less_than':
      if (typeof bound !== 'number') return null;
      return (value) => (inclusive ? Number(value) <= bound : Number(value) < bound);
    case 'min_length':
      return (value) => lengthOf(value) >= minimum;
    case 'max_length':
      return (value) => lengthOf(value) <= maximum;
    case 'length_equals':
      return (value) => lengthOf(value) === length;
    case 'string_format':
      if (check.format !== 'regex' || pattern === undefined || pattern.global) return null;
      return (value) => pattern.test(String(value));
    default:
      return null;
  }
}
