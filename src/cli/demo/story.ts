import type { MigrationView, NodeView, StageView } from '../../store/views.ts';
import type { Line } from '../render/status-lines.ts';
import type { Style } from '../style.ts';

/** Tells what happens, one line for each thing, as views of the migration come in. */
export interface Story {
  lines(): readonly Line[];
  read(view: MigrationView): void;
  /** Something that no record tells: a worker that was started again. */
  note(text: string): void;
}

export function createStory(style: Style): Story {
  const told = new Map<string, string>();
  const tell = (key: string, text: string): void => {
    if (!told.has(key)) told.set(key, `${style.cyan('>>')} ${text}`);
  };
  return {
    note: (text) => tell(`note:${told.size}`, text),
    lines: () => [...told].map(([key, text]) => ({ key: `story:${key}`, text })),
    read: (view) => {
      if (view.state !== 'requested')
        tell(
          'preparing',
          'Preparing the cluster: probe pods, a baseline of the network, Calico installed with no agent running yet.',
        );
      for (const stage of view.stages) tellStage(stage, view, tell);
    },
  };
}

type Tell = (key: string, text: string) => void;

function tellStage(stage: StageView, view: MigrationView, tell: Tell): void {
  const { id, from, to, prepare, waves, finalize } = stage;
  const first = view.stages[0] === stage;
  if (!first && prepare.some(({ state }) => state !== 'pending'))
    tell(
      `stage:${id}`,
      'The second stage: BGP comes up while VXLAN still carries the traffic; then the encapsulation is flipped, and taken back by itself if traffic does not come.',
    );
  const flip = prepare.find((step) => step.id === 'cross-subnet');
  if (flip?.state === 'done') tell(`flip:${id}`, `The flip: ${flip.message}.`);
  for (const wave of waves) {
    const nodes = wave.nodes.length === 1 ? 'one node' : `${wave.nodes.length} nodes`;
    if (wave.state !== 'pending')
      tell(
        `wave:${id}:${wave.id}`,
        first
          ? `Wave ${wave.id}: ${nodes}; each is emptied within its budgets, fenced, given to ${to}, probed and released.`
          : `Wave ${wave.id}: ${nodes}; nothing moves, each is asked for its routes and paths.`,
      );
    for (const node of wave.nodes) tellNode(node, stage, tell);
    if (wave.gate?.state === 'passed')
      tell(`gate:${wave.gate.id}`, `Gate ${wave.gate.id} passed, approved by ${wave.gate.by}.`);
  }
  const ends =
    view.stages.length === 1 ? view.state === 'finalizing' : finalize.some(({ state }) => state !== 'pending');
  if (first && ends)
    tell(
      `finalizing:${id}`,
      `Every node is on ${to}: ${from} is removed for good, then every node is searched for anything left of it.`,
    );
}

function tellNode(node: NodeView, view: StageView, tell: Tell): void {
  if (node.rollbacks === 0) return;
  tell(
    `back:${node.name}`,
    `${node.name} failed its checks on ${view.to}: it goes back to ${view.from} by itself, is verified there, and is tried again.`,
  );
  if (node.state === 'migrated') tell(`again:${node.name}`, `${node.name} passed at try ${node.nodeAttempt}.`);
}
