/**
 * Runs a story: a text of commands, one a line, on a small cluster, and renders the same text with
 * what happened under each command. The text is its own golden file; comments start with `#`.
 *
 * cluster a=master b=worker:5 [link=1 disk=0.5 hold=2000 cooldown=2000 grace=3000 patience=300
 *   trailing=5]       makes and forms it; the first node bootstraps
 * run MS | run until leader [MS] | run until acting [MS]
 * kill|start|isolate|rejoin|stick|release ID, cut|heal ID ID, oneway|both FROM TO
 * silently kill|isolate|cut ...   as above, but no peer sees a connection close
 * redials ID MS      this node's redials take so much longer to fail
 * lose TYPE FROM TO, keep TYPE FROM TO, delay TYPE FROM TO MS   message types; `*` for any
 * quietly COMMAND     without telling what happens
 * show TYPE...        lists messages of these types from now on
 * propose ID TEXT, read ID, transfer ID [TO], admit ID BY, forget ID BY, order ID TERM
 * epoch ID, accept ID BY   a stopped node forces a new epoch, or comes empty into that of another
 * clash ID           another machine runs with this node's key
 * facts ID [draining undialable paused read-only trouble=CODE], readmit ID BY [anew], role BY ID ROLE, certify ID ROLE, suspend ID MS, lease ID MS, compact ID, wipe-links ID
 * status, logs, outcomes
 */
import type { Fact, LocalFacts, Outcome } from '../../src/consensus/api.ts';
import { goodFacts } from '../../src/consensus/core.ts';
import type { Message } from '../../src/wire/consensus-message.ts';
import { type Role, roles } from '../../src/wire/member.ts';
import { Cluster, formed, type SimNode } from './cluster.ts';

const isRole = (text: string): text is Role => roles.some((role) => role === text);

function renderFact(fact: Fact): string | null {
  switch (fact.type) {
    case 'state-changed':
      return `${fact.state} in term ${fact.term}, leader ${fact.leader ?? '-'} (${fact.reason})`;
    case 'acting-changed':
      return fact.acting ? `acts in term ${fact.term}` : `acts no more (${fact.reason})`;
    case 'configuration-changed': {
      const { voters, outgoing } = fact.configuration;
      return `voters ${voters.join(',')}${outgoing ? ` from ${outgoing.join(',')}` : ''}`;
    }
    case 'refused-message':
      return `refuses ${fact.detail} of ${fact.from}: ${fact.code}`;
    case 'corruption':
      return `corruption: ${fact.detail}`;
    case 'resigned':
      return `resigns to ${fact.to ?? 'whoever is elected'}: ${fact.reason}`;
    case 'degraded':
      return fact.reason ? `is degraded: ${fact.reason}` : 'is degraded no more';
    case 'not-a-member':
      return null;
    case 'takeover':
      return `take-over ${fact.from} to ${fact.to}: ${fact.result}`;
    case 'ballot': {
      const { ballot } = fact;
      const answers = ballot.answers.map((item) => `${item.from} ${item.code}`).join(', ');
      return `${ballot.kind} ${ballot.term} ${ballot.won ? 'won' : 'lost'}: ${answers}`;
    }
  }
}

function renderMessage(message: Message): string {
  switch (message.type) {
    case 'pre-vote':
    case 'vote':
      return `${message.type} ${message.term} (${message.lastTerm}/${message.lastIndex})`;
    case 'pre-vote-reply':
    case 'vote-reply':
      return `${message.type} ${message.code}, promise ${Math.round(message.promiseMs)} ms`;
    case 'fetch':
      return `fetch ${message.purpose} after ${message.lastTerm}/${message.lastIndex}`;
    case 'fetch-reply':
      return `fetch-reply ${message.code}, ${message.entries.length} entries`;
    case 'heartbeat':
      return `heartbeat, lease ${message.leaseMs} ms`;
    case 'append':
      return `append ${message.entries.length} after ${message.prevIndex}`;
    case 'takeover-reply':
      return `takeover-reply ${message.code}`;
    default:
      return message.type;
  }
}

const renderOutcome = (outcome: Outcome | undefined): string =>
  !outcome
    ? 'open'
    : outcome.type === 'applied'
      ? `applied at ${outcome.index}`
      : outcome.type === 'refused'
        ? `refused: ${outcome.code} (${outcome.detail})`
        : 'unknown';

export class Story {
  #cluster = new Cluster();
  #out: string[] = [];
  #sinceMs = 0;
  #shown = new Set<string>();
  #asked: { what: string; id: string; ref: number }[] = [];

  play(text: string): string {
    for (const line of text.split('\n')) {
      if (line.startsWith('  ')) continue;
      if (line.trim() === '' && this.#out.at(-1) === '') continue;
      this.#out.push(line);
      if (line.trim() !== '' && !line.startsWith('#')) this.#command(line.trim().split(/\s+/));
    }
    return this.#out.join('\n');
  }

  #say(line: string): void {
    this.#out.push(`  ${line}`);
  }

  #event(id: string, line: string): void {
    const ms = (this.#cluster.nowMs - this.#sinceMs).toFixed(1);
    this.#say(`+${ms} ${id}: ${line}`);
  }

  #command(words: string[]): void {
    const [verb = '', ...args] = words;
    this.#sinceMs = this.#cluster.nowMs;
    const silently = verb === 'silently';
    if (verb === 'quietly') {
      const out = this.#out;
      this.#out = [];
      this.#command(args);
      this.#out = out;
      return;
    }
    if (silently) this.#fault(args[0] ?? '', args.slice(1), false);
    else if (!this.#fault(verb, args, true) && !this.#ask(verb, args) && !this.#tell(verb, args))
      throw new Error(`unknown command: ${words.join(' ')}`);
  }

  #make(args: string[]): void {
    const members: Record<string, Role> = {};
    const settings: Record<string, number> = {};
    for (const arg of args) {
      const [name = '', value = ''] = arg.split('=');
      if (isRole(value)) members[name] = value;
      else settings[name] = Number(value);
    }
    const watch = (node: SimNode, fact: Fact): void => {
      const line = renderFact(fact);
      if (line) this.#event(node.id, line);
    };
    const { link = 1, disk = 0.5, hold = 10_000, cooldown = 30_000, grace = 60_000 } = settings;
    const quiet: string[] = [];
    const out = this.#out;
    this.#out = quiet;
    this.#cluster = formed(members, {
      linkMs: link,
      diskMs: disk,
      seed: settings.seed ?? 1,
      timing: {
        holdMs: hold,
        takeoverCooldownMs: cooldown,
        voterGraceMs: grace,
        patienceMs: settings.patience ?? 300,
      },
      ...(settings.trailing === undefined ? {} : { trailing: settings.trailing }),
      watch,
    });
    this.#out = out;
    this.#sayStatus();
    this.#cluster.onMessage = (from, to, message) => {
      if (this.#shown.has(message.type)) this.#event(from, `-> ${to} ${renderMessage(message)}`);
    };
  }

  #fault(verb: string, args: string[], seen: boolean): boolean {
    const [a = '', b = '', c = ''] = args;
    const cluster = this.#cluster;
    if (verb === 'cluster') this.#make(args);
    else if (verb === 'kill') cluster.kill(a, seen);
    else if (verb === 'start') cluster.start(a);
    else if (verb === 'epoch') cluster.forceEpoch(a, a.repeat(32));
    else if (verb === 'accept') cluster.acceptEpoch(a, cluster.node(b).epoch);
    else if (verb === 'isolate') cluster.isolate(a, seen);
    else if (verb === 'rejoin') cluster.rejoin(a);
    else if (verb === 'cut') cluster.cut(a, b, seen);
    else if (verb === 'heal') cluster.heal(a, b);
    else if (verb === 'oneway') cluster.cuts.add(`${a}>${b}`);
    else if (verb === 'both') cluster.cuts.delete(`${a}>${b}`);
    else if (verb === 'stick') cluster.node(a).stuck = [];
    else if (verb === 'release') cluster.releaseDisk(a);
    else if (verb === 'suspend') cluster.suspend(a, Number(b));
    else if (verb === 'redials') cluster.redialsLate.set(a, Number(b));
    else if (verb === 'slow') cluster.slow.set(`${a}>${b}`, Number(c));
    else if (verb === 'lose')
      cluster.losing.set(
        args.join(),
        (from, to, message) =>
          message.type === a && (b === '*' || b === from) && (c === '*' || c === to),
      );
    else if (verb === 'delay')
      cluster.delaying.set(args.join(), (from, to, message) =>
        message.type === a && b === from && c === to ? Number(args[3]) : 0,
      );
    else if (verb === 'keep') cluster.losing.delete(args.join());
    else return false;
    return true;
  }

  #ask(verb: string, args: string[]): boolean {
    const [id = '', ...rest] = args;
    const cluster = this.#cluster;
    const remember = (ref: number): void => {
      this.#asked.push({ what: [verb, ...args].join(' '), id, ref });
    };
    if (verb === 'propose') remember(cluster.propose(id, rest.join(' '), 2000));
    else if (verb === 'read') remember(cluster.ask(id, { type: 'read' }, 2000));
    else if (verb === 'transfer')
      remember(cluster.ask(id, { type: 'transfer', to: rest[0] ?? null }));
    else if (verb === 'forget')
      remember(
        cluster.ask(id, { type: 'reconfigure', change: { type: 'forget', peerId: rest[0] } }),
      );
    else if (verb === 'admit') {
      const role = rest[1] ?? '';
      if (!isRole(role)) throw new Error(`admit: ${role} is no role`);
      const { certificate } = cluster.add(rest[0] ?? '', role);
      cluster.start(certificate.peerId);
      const change = { type: 'admit', member: certificate };
      remember(cluster.ask(id, { type: 'reconfigure', change }));
    } else if (verb === 'readmit') {
      const member = cluster.node(rest[0] ?? '').certificate;
      const change = { type: 'admit' as const, member, anew: rest.includes('anew') };
      remember(cluster.ask(id, { type: 'reconfigure', change }));
    } else if (verb === 'role') {
      const member = cluster.certified(rest[0] ?? '', rest[1] ?? '');
      remember(cluster.ask(id, { type: 'reconfigure', change: { type: 'role', member } }));
    } else if (verb === 'certify') cluster.certify(cluster.certified(id, rest[0] ?? ''));
    else if (verb === 'order') {
      const ref = this.#asked.length + 100_000;
      const term = Number(rest[0]);
      cluster.step(cluster.node(id), { type: 'order', ref, epoch: 'e'.repeat(32), term });
      remember(ref);
    } else return false;
    return true;
  }

  #tell(verb: string, args: string[]): boolean {
    const cluster = this.#cluster;
    if (verb === 'run') this.#run(args);
    else if (verb === 'show') for (const type of args) this.#shown.add(type);
    else if (verb === 'hide') this.#shown.clear();
    else if (verb === 'status') this.#sayStatus();
    else if (verb === 'logs') {
      for (const node of cluster.nodes.values()) {
        const texts = node.catalog.map(({ text }) => text).join(' ');
        this.#say(`${node.id}: ${node.core ? texts : 'down'}`);
      }
    } else if (verb === 'outcomes') {
      for (const { what, id, ref } of this.#asked) this.#say(`${what}: ${this.#end(id, ref)}`);
      this.#asked = [];
    } else if (verb === 'compact') {
      for (const node of cluster.nodes.values())
        cluster.step(node, { type: 'compact', index: node.disk.applied });
    } else if (verb === 'clash')
      cluster.step(cluster.node(args[0] ?? ''), { type: 'identity-clash' });
    else if (verb === 'facts') this.#facts(args);
    else return false;
    return true;
  }

  /** What a node knows of itself from now on, beside what is good. */
  #facts([id = '', ...told]: string[]): void {
    const facts: LocalFacts = {
      ...goodFacts,
      draining: told.includes('draining'),
      paused: told.includes('paused'),
      undialable: told.includes('undialable'),
      storeWritable: !told.includes('read-only'),
      trouble: told.find((one) => one.startsWith('trouble='))?.slice(8) ?? null,
    };
    this.#cluster.step(this.#cluster.node(id), { type: 'local', facts });
  }

  #end(id: string, ref: number): string {
    const node = this.#cluster.node(id);
    const order = node.orders.get(ref);
    if (order) return `${order.execute ? 'executed' : 'refused'}, fence ${order.fence}`;
    const read = node.reads.get(ref);
    if (read) return read.type === 'ready' ? `ready at ${read.index}` : `refused: ${read.code}`;
    return renderOutcome(node.outcomes.get(ref));
  }

  #run(args: string[]): void {
    const cluster = this.#cluster;
    if (args[0] !== 'until') {
      cluster.run(Number(args[0]));
      return;
    }
    const [, what = '', ms = '5000'] = args;
    const old = cluster.leader()?.id;
    const stop =
      what === 'acting'
        ? () => cluster.acting().length > 0
        : () => cluster.leader() !== null && cluster.leader()?.id !== old;
    if (!cluster.run(Number(ms), stop)) this.#say(`no ${what} within ${ms} ms`);
  }

  #sayStatus(): void {
    const cluster = this.#cluster;
    for (const node of cluster.nodes.values()) {
      if (!node.core) {
        this.#say(`${node.id}: down`);
        continue;
      }
      const { state, term, leader, acting, lastIndex, commitIndex } = cluster.status(node.id);
      const { voters } = cluster.status(node.id).configuration;
      this.#say(
        `${node.id}: ${state}${acting ? ' acting' : ''} term ${term} leader ${leader ?? '-'} ` +
          `log ${lastIndex} commit ${commitIndex} voters ${voters.join(',')}`,
      );
    }
  }
}
