import type { MigrationView, NodeView } from '../../store/views.ts';
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
      for (const wave of view.stages.flatMap(({ waves }) => waves)) {
        if (wave.state !== 'pending')
          tell(
            `wave:${wave.id}`,
            `Wave ${wave.id}: ${wave.nodes.length === 1 ? 'one node' : `${wave.nodes.length} nodes`}; each is emptied within its budgets, fenced, given to ${view.to}, probed and released.`,
          );
        for (const node of wave.nodes) tellNode(node, view, tell);
        if (wave.gate?.state === 'passed')
          tell(`gate:${wave.gate.id}`, `Gate ${wave.gate.id} passed, approved by ${wave.gate.by}.`);
      }
      if (view.state === 'finalizing')
        tell(
          'finalizing',
          `Every node is on ${view.to}: ${view.from} is removed for good, then every node is searched for anything left of it.`,
        );
    },
  };
}

function tellNode(node: NodeView, view: MigrationView, tell: (key: string, text: string) => void): void {
  if (node.rollbacks === 0) return;
  tell(
    `back:${node.name}`,
    `${node.name} failed its checks on ${view.to}: it goes back to ${view.from} by itself, is verified there, and is tried again.`,
  );
  if (node.state === 'migrated') tell(`again:${node.name}`, `${node.name} passed at try ${node.nodeAttempt}.`);
}
