import { Command, CommanderError, Option } from 'commander';
import { commands } from './commands.ts';
import { CutoverError } from '../errors.ts';
import { createCli, outputs, type Cli, type GlobalOptions, type Output } from './cli.ts';
import { exitCodes } from './exit-codes.ts';
import { errorLines, exitCodeOf } from './report-error.ts';
import { nonNegative } from './numbers.ts';
import { visible } from './visible.ts';
import { createStyle, wantsColour } from './style.ts';

/** Runs one command line. @returns the exit code */
export async function run(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<number> {
  // `cutover history | head` closes the pipe early: that is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

  const program = createProgram();
  // Filled as soon as the options are known, which is before any action.
  const cli = {} as Cli;
  program.hook('preAction', (_, command) => {
    const options = program.opts<GlobalOptions>();
    const fit = outputsOf[options.output];
    if (fit !== undefined && !fit.includes(command.name()))
      throw new CutoverError('Usage', `-o ${options.output} is not for \`cutover ${command.name()}\``, {
        remedy: `it is for ${fit.map((name) => `\`cutover ${name}\``).join(', ')}`,
      });
    Object.assign(cli, createCli(options, env));
  });

  try {
    for (const entry of commands) {
      const command = program
        .command(entry.name, { hidden: entry.hidden ?? false })
        .description(entry.description)
        .helpGroup(entry.group);
      command.showHelpAfterError(`  see \`cutover ${entry.name} --help\``);
      // Only what the command line names is loaded. A name may also be somebody's argument: that costs a few ms.
      if (args.includes(entry.name)) (await entry.load())(command, cli);
    }
    await program.parseAsync(args, { from: 'user' });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return isHelp(error) ? exitCodes.ok : exitCodes.usage;
    const style = createStyle(wantsColour(process.stderr, env, program.opts<GlobalOptions>().color));
    process.stderr.write(`${visible(errorLines(error, style).join('\n'))}\n`);
    return exitCodeOf(error);
  }
}

/** Formats that only some commands have. */
const outputsOf: { readonly [output in Output]?: readonly string[] } = {
  junit: ['preflight'],
  html: ['report'],
  markdown: ['report'],
};

const isHelp = ({ code }: CommanderError): boolean =>
  ['commander.helpDisplayed', 'commander.version', 'commander.help'].includes(code);

function createProgram(): Command {
  const program = new Command('cutover')
    .description(
      'Moves a running Kubernetes cluster from one network to another, node by node: durable, gated, reversible, on the record.',
    )
    .usage('COMMAND [options]')
    .addOption(new Option('-o, --output <format>', 'how to print').choices([...outputs]).default('table'))
    .option('--server <url>', 'address of the server (CUTOVER_SERVER; else the one that `cutover up` runs)')
    .option('--as <name>', 'the acting person (CUTOVER_ACTOR; else the user of this system)')
    .option('--no-color', 'no colours (NO_COLOR)')
    .option('--request-timeout <seconds>', 'of one request; 0 waits for ever', nonNegative, 60)
    .helpCommand('help [command]', 'explain a command')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('  see `cutover --help`')
    .exitOverride()
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 error, 2 usage; more with --detailed-exitcode where a command has it.',
    );
  return program;
}
