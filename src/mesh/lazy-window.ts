/**
 * Fewer packets for small frames: yamux 8 answers every data frame with a window update, so each
 * heartbeat would cost an encrypted packet back. A stream treated here sends the update only once
 * half of its window is used up; the sender can't stall, as it still has the other half.
 */
import type { Stream } from '@libp2p/interface';

/** The part of a yamux stream that this depends on; checked at run time. */
interface Windowed {
  recvWindow: number;
  recvWindowCapacity: number;
  sendWindowUpdate(): void;
}

function isWindowed(stream: object): stream is Windowed {
  const candidate = stream as Partial<Windowed>;
  return (
    typeof candidate.recvWindow === 'number' &&
    typeof candidate.recvWindowCapacity === 'number' &&
    typeof candidate.sendWindowUpdate === 'function'
  );
}

/** Call it once the stream is negotiated; answers whether the stream could be treated. */
export function updateWindowLazily(stream: Stream): boolean {
  if (!isWindowed(stream)) return false;
  const update = stream.sendWindowUpdate.bind(stream);
  stream.sendWindowUpdate = () => {
    if (stream.recvWindowCapacity * 2 <= stream.recvWindow) update();
  };
  return true;
}
