import { Argument } from 'commander';
import type { Register } from '../command.ts';

/**
 * The scripts ask `cutover __complete` for candidates, with the words of the command line so far: what is offered is
 * decided in one place, and names of migrations, gates and nodes are those of now.
 */
const scripts = {
  bash: `# cutover completion: source <(cutover completion bash)
_cutover() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ \${#COMPREPLY[@]} -gt 0 ] || compopt -o default
}
complete -F _cutover cutover`,
  zsh: `#compdef cutover
# cutover completion: source <(cutover completion zsh)
_cutover() {
  local -a found
  found=(\${(f)"$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( \${#found} )); then compadd -a found; else _files; fi
}
compdef _cutover cutover`,
  fish: `# cutover completion: cutover completion fish | source
function __cutover_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete -- $words[2..-1] 2>/dev/null
end
complete -c cutover -f -a '(__cutover_complete)'`,
} as const;

export const completion: Register = (command, cli) => {
  command
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(scripts)))
    .addHelpText(
      'after',
      '\nbash: source <(cutover completion bash)\nzsh:  source <(cutover completion zsh)\nfish: cutover completion fish | source',
    )
    .action((shell: keyof typeof scripts) => cli.print(scripts[shell]));
};
