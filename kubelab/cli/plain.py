"""`kubelab --plain [LESSON]`: the course as a line-by-line conversation, for screen readers, pipes and CI."""

from kubelab.cli.interrupt import interruptible
from kubelab.cli.log import log_to_file
from kubelab.cli.rootless import become_root
from kubelab.cluster.lab.config import LabConfig
from kubelab.language import Language


def open_plain(
    config: LabConfig, lesson: str | None, language: Language | None, *, test_out: bool = False
) -> int:
    """Converse on standard input and output until the learner leaves; return the exit code.

    Raises:
        LabError: there is no such lesson, another lab is running, or a track is invalid.
    """
    become_root()
    log_to_file()
    interruptible(_run(config, lesson, language, test_out=test_out))
    return 0


async def _run(config: LabConfig, lesson: str | None, language: Language | None, *, test_out: bool) -> None:
    from kubelab.cli.port import LearnerPort, first_language
    from kubelab.cluster.lab.lab import start_lab
    from kubelab.lessons.catalog import Catalog
    from kubelab.lessons.progress import Progress
    from kubelab.lessons.view import Mode
    from kubelab.plain.conversation import converse

    catalog = Catalog.load()
    lesson_id = catalog.lesson(lesson).id if lesson else None
    with Progress.open() as progress:
        async with start_lab(config) as lab:
            await converse(
                LearnerPort(lab, catalog, progress),
                language or first_language(progress),
                lesson_id,
                Mode.TEST_OUT if test_out else Mode.LEARN,
            )
