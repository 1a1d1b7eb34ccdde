"""The command line's root: what `kubelab` does without a command, and where its commands are."""

import importlib
import sys

import click

import kubelab
from kubelab.cli.cluster_options import NAMES, cluster_options
from kubelab.cluster.errors import LabError
from kubelab.language import LANGUAGES, Language, Text

_COMMANDS = (
    "up",
    "status",
    "shell",
    "kubectl",
    "api",
    "lesson",
    "track",
    "progress",
    "image",
    "store",
    "fault",
    "doctor",
    "clean",
    "bench",
    "oci",
    "docs",
)


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own names, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(f"kubelab.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=str(
        Text(
            es="Un laboratorio para entender contenedores y Kubernetes sobre un mini clúster real.\n\n"
            "Sin comando abre la aplicación: lecciones, un shell de verdad y el estado vivo del clúster.",
            en="A lab in which you understand containers and Kubernetes on a real mini cluster.\n\n"
            "Without a command it opens the app: lessons, a real shell and the live state of the cluster.",
        )
    ),
)
@click.option("--lang", type=click.Choice(LANGUAGES), help=str(Text(es="Idioma.", en="Language.")))
@cluster_options
@click.option(
    "--plain",
    is_flag=False,
    flag_value="",
    metavar="[LESSON]",
    help=str(
        Text(
            es="Todo el curso línea a línea, sin pantalla: para lectores de pantalla, tuberías y CI.",
            en="The whole course line by line, without a screen: for screen readers, pipes and CI.",
        )
    ),
)
@click.option(
    "--test-out",
    is_flag=True,
    help=str(
        Text(
            es="Con --plain LESSON: un examen de esa lección, solo objetivos y sin pistas.",
            en="With --plain LESSON: a test on that lesson, only goals and no hints.",
        )
    ),
)
@click.version_option(kubelab.__version__, prog_name="kubelab")
@click.pass_context
def kubelab_command(
    context: click.Context,
    lang: Language | None,
    minions: int,
    masters: int | None,
    store: str | None,
    store_quota: int | None,
    plain: str | None,
    *,
    fresh: bool,
    test_out: bool,
) -> int:
    if context.invoked_subcommand is not None:
        _refuse_options_of_the_app(context, context.invoked_subcommand)
        return 0
    if test_out and not plain:
        raise click.UsageError(str(_WHICH_LESSON), context)
    from kubelab.cli.equipment import equipped
    from kubelab.cluster.lab.config import LabConfig, store_choice

    config = equipped(
        LabConfig(
            minions=minions,
            masters=masters,
            store=store_choice(store),
            store_quota_mib=store_quota,
            fresh=fresh,
        )
    )
    if plain is None:
        from kubelab.cli.app import open_app

        return open_app(config)
    from kubelab.cli.plain import open_plain

    return open_plain(config, plain or None, lang, test_out=test_out)


def _refuse_options_of_the_app(context: click.Context, command: str) -> None:
    """Before a command they would mean nothing: better to say so than to drop them."""
    for name in (*NAMES, "plain", "test_out"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            sentence = _OF_THE_APP.format(option=f"--{name.replace('_', '-')}", command=command)
            raise click.UsageError(str(sentence), context)


_OF_THE_APP = Text(
    es="{option} es de la aplicación, no va ante {command}: `kubelab {command} --help` dice las suyas.",
    en="{option} belongs to the app, not to {command}: `kubelab {command} --help` tells what does.",
)
_WHICH_LESSON = Text(
    es="--test-out examina de una lección: di de cuál, como en `kubelab --plain pid --test-out`.",
    en="--test-out tests you on a lesson: say on which, as in `kubelab --plain pid --test-out`.",
)


def run() -> int:
    """Run the command line and return its exit code; what a person can mend is said in one sentence."""
    try:
        code = kubelab_command.main(prog_name="kubelab", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except LabError as error:
        click.echo(f"kubelab: {error}", err=True)
        return 1
    except BaseExceptionGroup as group:
        return _report(group)
    except BrokenPipeError:
        sys.stderr.close()  # `kubelab status | head`: nobody is left to read, and that is no error.
        return 0
    return code if isinstance(code, int) else 0


def _report(group: BaseExceptionGroup[BaseException]) -> int:
    """Errors of tasks come in groups: those for people are said, a bug keeps its traceback."""
    expected, bugs = group.split(LabError)
    if bugs is not None:
        raise bugs
    assert expected is not None
    for error in _leaves(expected):
        click.echo(f"kubelab: {error}", err=True)
    return 1


def _leaves(group: BaseExceptionGroup[LabError]) -> list[LabError]:
    leaves: list[LabError] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
