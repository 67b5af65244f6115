/**
 * Notices incoming connections that never got through the handshake: with another network key the
 * bytes of the other side mean nothing here. The dialler is told by its own failure; this tells the
 * listening side. A connection that sent nothing (a knock whether the port is open) is no attempt.
 */

/** What is used of a connection. */
interface Incoming {
  readonly direction: string;
  readonly remoteAddr: { toString(): string };
  addEventListener(type: 'close', listener: () => void, options?: { once?: boolean }): void;
}

export interface HandshakeWatch {
  /** Both sides have sent what the network's protector begins with. */
  began(connection: Incoming): void;
  /** The other side has proved its key. */
  passed(connection: object): void;
}

export function createHandshakeWatch(onFailed: (address: string) => void): HandshakeWatch {
  const through = new WeakSet<object>();
  return {
    began: (connection) => {
      if (connection.direction !== 'inbound') return;
      const address = connection.remoteAddr.toString();
      const closed = (): void => {
        if (!through.has(connection)) onFailed(address);
      };
      connection.addEventListener('close', closed, { once: true });
    },
    passed: (connection) => {
      through.add(connection);
    },
  };
}
