/**
 * The shell script between the agent and a daemon. It says who it is before the daemon takes its
 * place (same pid, so no daemon is ever started without a note), sets the limits, and starts the
 * loop that keeps the daemon's output within its size. The loop outlives the agent and ends with
 * the daemon; a full disk costs output, never the daemon's next line.
 */
import { fileBytesSoft, filesKept, turnBlockBytes, turnBlocks } from './output-log.ts';

export const statFile = 'process.stat';

/** Arguments: folder, limits (KiB of memory or 0, files or 0, processors or -), the command. */
export const launchScript = `
dir=$1 data=$2 files=$3 processors=$4
shift 4
umask 077
if read -r stat 2>/dev/null < /proc/$$/stat; then :; else stat=$$; fi
note=$dir/${statFile}
printf '%s\\n' "$stat" > "$note.new" && mv "$note.new" "$note" || exit 125
[ "$processors" = - ] || taskset -pc "$processors" $$ >/dev/null || exit 125
[ "$data" = 0 ] || ulimit -d "$data" || exit 125
[ "$files" = 0 ] || ulimit -n "$files" || exit 125
fifo=$dir/output.fifo log=$dir/output.log
rm -f "$fifo"
mkfifo "$fifo" || exit 125
(
  trap '' HUP INT TERM
  exec 2>/dev/null
  size() { wc -c < "$log" || echo 0; }
  : >> "$log"
  while :; do
    before=$(size)
    if dd bs=${turnBlockBytes} count=${turnBlocks} >> "$log"; then
      now=$(size)
      [ "$now" -gt "$before" ] || exit 0
    else
      : > "$log"
      dd bs=${turnBlockBytes} count=${turnBlocks} of=/dev/null || exit 1
      now=0
    fi
    if [ "$now" -ge ${fileBytesSoft} ]; then
      i=${filesKept - 1}
      while [ $i -gt 1 ]; do
        [ ! -f "$log.$((i - 1))" ] || mv -f "$log.$((i - 1))" "$log.$i"
        i=$((i - 1))
      done
      mv -f "$log" "$log.1"
      : >> "$log"
    fi
  done
) < "$fifo" > /dev/null &
exec "$@" > "$fifo" 2>&1 < /dev/null
`;
