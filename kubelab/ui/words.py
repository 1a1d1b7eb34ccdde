"""Every word of the interface, in both languages."""

from kubelab.cluster.lab.snapshot import PodView
from kubelab.language import Text
from kubelab.lessons.change import About, Sign

MOTTO = Text(
    "contenedores y Kubernetes, sobre un clúster de verdad", "containers and Kubernetes, on a real cluster"
)

TOO_SMALL = Text(
    "kubelab necesita al menos 80 columnas por 24 filas y esta terminal tiene {columns}×{rows}: agrándala o "
    "reduce la letra.",
    "kubelab needs at least 80 columns by 24 rows and this terminal has {columns}×{rows}: enlarge it or make "
    "the font smaller.",
)

# Home.
LESSONS = Text("Lecciones", "Lessons")
LAB = Text("El laboratorio", "The lab")
LAB_STARTS = Text("Arranca. Puedes elegir ya una lección.", "Coming up. You may choose a lesson already.")
LAB_READY = Text("✓ Listo", "✓ Ready")
LAB_FAILED = Text("✗ No ha arrancado", "✗ It did not come up")
MISSING = Text("Lo que le falta a esta máquina", "What this machine lacks")
NO_LESSONS = Text("No hay lecciones instaladas.", "No lessons are installed.")
MINUTES = Text("{n} min", "{n} min")
NEW = Text("nueva", "new")
STARTED = Text("empezada", "started")
PASSED = Text("superada", "passed")
BY_TEST = Text("por examen", "by test")
STEPS = Text("{passed} de {n} pasos", "{passed} of {n} steps")
REVIEW_NOW = Text("repasar hoy", "review today")
REVIEW_TOMORROW = Text("repasar mañana", "review tomorrow")
REVIEW_LATER = Text("repasar en {n} días", "review in {n} days")
ONE_TO_REVIEW = Text("↻ 1 lección para repasar hoy", "↻ 1 lesson to review today")
TO_REVIEW = Text("↻ {n} lecciones para repasar hoy", "↻ {n} lessons to review today")
REVIEW_MENU = Text("Toca repasar: {title}", "Time to review: {title}")
REVIEW_AGAIN = Text(
    "repasarla: desde el principio y con otros datos", "review it: from its beginning, with other values"
)
REVIEW_LOOK = Text("mirarla como quedó", "look at it as it was left")
OPENING = Text("Se prepara la lección «{title}»", "The lesson “{title}” is being set up")
OPENING_WAITS = Text("Espera a que el laboratorio esté listo…", "It waits until the lab is ready…")
OPENING_CANCEL = Text("Esc: volver", "Esc: go back")
TAKING_DOWN = Text("Se recoge el laboratorio…", "Taking the lab down…")

# Lesson.
STEP_OF = Text("Paso {n} de {count}", "Step {n} of {count}")
TEXT = Text("Lección", "Lesson")
SHELL = Text("Terminal en {machine}", "Shell on {machine}")
STATE = Text("Estado en vivo", "Live state")
CHANGES = Text("Qué ha cambiado", "What changed")
HISTORY = Text("↑ historia: cualquier tecla vuelve", "↑ history: any key returns")
SHELL_ENDED = Text(
    "El shell ha terminado. Pulsa Enter para abrir otra.", "The shell has ended. Press Enter for a new one."
)
SHELL_FAILED = Text("Pulsa Enter para intentarlo de nuevo.", "Press Enter to try again.")
CHECKS = Text("Comprobaciones", "Checks")
OBSERVED = Text("se observa: {what}", "observed: {what}")
CANNOT_CHECK = Text("no se puede comprobar: {what}", "cannot check: {what}")
LOOK = Text("míralo con: {command}", "see it with: {command}")
HINT_OF = Text("Pista {n} de {count}", "Hint {n} of {count}")
NO_HINTS = Text("Este paso no tiene más pistas.", "This step has no more hints.")
MISCONCEPTION = Text("Ojo", "Mind")
OBSTACLE = Text("No puede hacerse", "It cannot be done")
DEBRIEF = Text("Qué ha pasado", "What happened")
SKIPPED = Text("» hecho por la lección", "» done by the lesson")
STEP_SKIPPED = Text("» Lo ha hecho la lección: {title}", "» Done by the lesson: {title}")
STEP_PASSED = Text("¡Paso superado! {title}", "Step passed! {title}")
STEP_PASSED_NEXT = Text("F5: siguiente", "F5: next")
LESSON_PASSED = Text("¡Lección superada! {title}", "Lesson passed! {title}")
TEST_PASSED = Text("¡Examen superado! {title}", "Test passed! {title}")
LESSON_PASSED_NEXT = Text("F10: al inicio", "F10: home")
RESET_ASKS = Text(
    "Pulsa r otra vez para empezar el paso de nuevo.", "Press r once more to begin this step again."
)
FORWARD_ASKS = Text(
    "Pulsa d otra vez y la lección hará el paso por ti.",
    "Press d once more and the lesson does this step for you.",
)
START_OVER_ASKS = Text(
    "Pulsa o otra vez para empezar la lección de cero.", "Press o once more to start the lesson over."
)
RESET_DONE = Text("El paso empieza de nuevo.", "The step begins again.")
FIRST_STEP = Text("Este es el primer paso.", "This is the first step.")
LAST_STEP = Text("Este es el último paso. F10: al inicio.", "This is the last step. F10: home.")
PASSED_ALREADY = Text("Este paso ya está superado.", "This step is passed already.")
RESETTING = Text("El paso vuelve a su comienzo", "The step goes back to its beginning")
FORWARDING = Text("La lección hace el paso", "The lesson does the step")
CHECKED_NOW = Text("Comprobado ahora mismo.", "Checked just now.")

# Test.
TEST = Text("examen", "test")
TEST_TEXT = Text(
    "Demuestra que ya lo sabes: alcanza estas metas como quieras. En un examen no hay texto ni pistas; si "
    "las alcanzas todas, la lección queda superada.",
    "Show that you know it already: reach these goals any way you like. A test has neither text nor hints; "
    "reach them all and the lesson is passed.",
)
TEST_HAS_NO_HINTS = Text("En un examen no hay pistas ni ayuda.", "In a test there are no hints and no help.")
GOALS = Text("Metas", "Goals")

# Predictions.
PREDICTION = Text("Predicción", "Prediction")
PREDICT_KEYS = Text(
    "Pulsa {keys}, o haz clic. También puedes seguir sin responder.",
    "Press {keys}, or click. You may go on without an answer, too.",
)
PREDICT_ROUTE = Text(
    "F6 y después {keys}, o haz clic. También puedes seguir sin responder.",
    "F6 and then {keys}, or click. You may go on without an answer, too.",
)
PREDICT_CHANGE = Text(
    "Anotado. Puedes cambiarlo hasta que responda el sistema.",
    "Noted. You may change it until the live system answers.",
)
PREDICT_LINE = Text("Tu predicción, y Enter", "Your prediction, and Enter")
YOUR_PREDICTION = Text("← tu predicción", "← your prediction")
YOU_PREDICTED = Text("Predijiste: {what}", "You predicted: {what}")
NOT_PREDICTED = Text("No predijiste nada.", "You made no prediction.")
SYSTEM_ANSWERED = Text("El sistema responde: {what}", "The live system answers: {what}")
AGREES = Text("✓ Coincide con lo que predijiste.", "✓ It agrees with what you predicted.")
DIFFERS = Text(
    "≠ No coincide con lo que predijiste: aquí es donde más se aprende.",
    "≠ It differs from what you predicted: this is where one learns most.",
)
COMPARE = Text("↔ Compáralo con lo que predijiste.", "↔ Compare it with what you predicted.")
OR = Text(" o ", " or ")
ENTER = Text("Enter", "Enter")

# What changed.
NOTHING_CHANGED = Text(
    "Nada ha cambiado desde que empezó el paso.", "Nothing has changed since the step began."
)
CLUSTER = Text("clúster", "cluster")
SIGNS: dict[Sign, Text] = {
    Sign.NEW: Text("+ nuevo", "+ new"),
    Sign.GONE: Text("- fuera", "- gone"),
    Sign.OTHER: Text("~ ahora", "~ now"),
}
KINDS: dict[About, Text] = {
    About.OBJECT: Text("objetos de la API", "API objects"),
    About.PROCESS: Text("procesos", "processes"),
    About.NAMESPACE: Text("espacios de nombres", "namespaces"),
    About.CGROUP: Text("cgroups", "cgroups"),
    About.MOUNT: Text("montajes", "mounts"),
    About.LINK: Text("enlaces de red", "network links"),
    About.ADDRESS: Text("direcciones", "addresses"),
    About.ROUTE: Text("rutas", "routes"),
    About.RULE: Text("reglas nft", "nft rules"),
    About.STORE: Text("almacén", "store"),
}

# Menu.
MENU = Text("Menú", "Menu")
MENU_CHECK = Text("comprobar ahora", "check now")
MENU_HINT = Text("una pista más", "one more hint")
MENU_PREDICT = Text("responder a la pregunta del paso", "answer the step's question")
MENU_CHANGES = Text("ver qué ha cambiado", "see what changed")
MENU_SHELL = Text("otra terminal en {machine}", "another shell on {machine}")
MENU_SHELLS = Text("otra terminal…", "another shell…")
MENU_SHELLS_TITLE = Text("Otra terminal, ¿en qué máquina?", "Another shell: on which machine?")
MENU_SHELL_ON = Text("en {machine}", "on {machine}")
MENU_NEXT_SHELL = Text("pasar a la otra terminal", "go to the other shell")
MENU_FORWARD = Text("que la lección haga este paso", "have the lesson do this step")
MENU_RESET = Text("empezar el paso de nuevo", "begin the step again")
MENU_START_OVER = Text("empezar la lección de cero", "start the lesson over")
MENU_TEST = Text("examinarme de la lección", "take the lesson as a test")
MENU_LEARN = Text("dejar el examen y aprenderla", "leave the test and learn it")
MENU_STATE = Text("estado en vivo: enseñar o esconder", "live state: show or hide")
MENU_RAFT = Text("ver Raft", "see Raft")
MENU_ZOOM = Text("agrandar el panel", "enlarge the pane")
MENU_LANGUAGE = Text("English", "Español")
MENU_HELP = Text("ayuda", "help")
MENU_HOME = Text("volver al inicio", "go home")
MENU_OPEN = Text("abrir «{title}»", "open “{title}”")
MENU_QUIT = Text("salir", "quit")
CONFIRM = Text("¿Seguro? Otra vez: {what}", "Sure? Once more: {what}")
SHELLS_FULL = Text(
    "Ya hay {n} terminales: cierra una con exit.", "There are {n} shells: close one with exit."
)

# Live state.
WAITS_FOR_A_NODE = Text("espera un nodo", "waits for a node")
NO_PODS = Text("sin pods", "no pods")
REVISION = Text("revisión {n}", "revision {n}")
NO_POWER = Text("sin corriente", "no power")
CONTROL_PLANE = Text("plano de control", "control plane")
RESTARTS = Text("reinicios {n}", "restarts {n}")
NOTHING_YET = Text("Todavía no hay nada que mostrar.", "There is nothing to show yet.")
ON_HOST = Text("anfitrión", "on host")
ON_MACHINE = Text("máquina", "machine")
INSIDE = Text("dentro", "inside")
PROCESS = Text("proceso", "process")
OWN_NAMESPACE = Text("espacio de PID …{tail}", "PID namespace …{tail}")
EVENT = Text("suceso", "event")
REQUEST = Text("petición", "request")

# Raft.
RAFT = Text("Raft", "Raft")
MEMBER = Text("miembro", "member")
ROLE = Text("papel", "role")
TERM = Text("mandato", "term")
VOTE = Text("voto", "vote")
COMMIT = Text("conf.", "commit")
APPLIED = Text("aplic.", "appl.")
LOG = Text("registro", "log")
LAST_ENTRY = Text("última entrada", "last entry")
HEARS = Text("oye a", "hears")
ROLES: dict[str, Text] = {
    "leader": Text("líder", "leader"),
    "follower": Text("seguidor", "follower"),
    "pre-candidate": Text("precandidato", "pre-candidate"),
    "candidate": Text("candidato", "candidate"),
    "learner": Text("aprendiz", "learner"),
    "stopped": Text("detenido", "stopped"),
    "dead": Text("muerto", "dead"),
}
TERM_OF = Text("mandato {n}", "term {n}")
LEADS = Text("{name} es líder", "{name} leads")
NO_LEADER = Text("sin líder", "no leader")
STILL_LEADS = Text("{name} aún cree serlo, en el {n}", "{name} still believes it leads, term {n}")
QUORUM = Text("quorum {n} de {count}, bastan {needed}", "quorum {n} of {count}, {needed} suffice")
NO_QUORUM = Text(
    "sin quorum: {n} de {count}, hacen falta {needed}", "no quorum: {n} of {count}, {needed} are needed"
)
ALIVE = Text(
    "viven {n} de {count}, para elegir hacen falta {needed}", "{n} of {count} live, to elect takes {needed}"
)
VOTED = Text("votó a {name}", "voted for {name}")
NOT_VOTED = Text("aún no votó", "has not voted")
COMMIT_OF = Text("confirmado {n}", "commit {n}")
APPLIED_OF = Text("aplicado {n}", "applied {n}")
LACKS = Text("◂ le faltan {n}", "◂ {n} behind")
IS_STOPPED = Text("detenido: está, y no contesta", "stopped: it is there, and does not answer")
IS_DEAD = Text("muerto: queda su disco", "dead: its disk remains")
RAFT_LEGEND = Text(
    "{digit}━ confirmada, del mandato {n} · {digit}┄ sin confirmar · ← oye a: ● sí, ✗ ya no",
    "{digit}━ committed, of term {n} · {digit}┄ not committed · ← hears: ● yes, ✗ no more",
)

NEWS_TERM = Text("mandato {before} → {n}", "term {before} → {n}")
NEWS_LEADER = Text(
    "mandato {n}: {name} es líder, con los votos de {voters}",
    "term {n}: {name} leads, by the votes of {voters}",
)
NEWS_LEADS = Text("mandato {n}: {name} es líder", "term {n}: {name} leads")
NEWS_NO_LEADER = Text("{name} ya no es líder", "{name} leads no more")
NEWS_STOPPED = Text("{name} se detiene", "{name} stands still")
NEWS_DEAD = Text("{name} muere", "{name} dies")
NEWS_BACK = Text("{name} vuelve", "{name} is back")
NEWS_CUT = Text("el líder ya no oye a {name}", "the leader hears no more of {name}")
NEWS_HEARD = Text("el líder oye a {name} otra vez", "the leader hears {name} again")
NEWS_TRUNCATED = Text(
    "{name} cambia lo que no se confirmó (mandato {before}) por lo del líder (mandato {n})",
    "{name} replaces what was not committed (term {before}) by what the leader has (term {n})",
)
NEWS_CAUGHT_UP = Text("{name} ha alcanzado al líder", "{name} has caught up with the leader")
AND = Text(" y ", " and ")

# Keys: a short word for the bar at the bottom, a sentence for the help.
KEY_HELP = Text("Ayuda", "Help")
KEY_LANGUAGE = Text("EN", "ES")  # The language that it changes to.
KEY_HINT = Text("Pista", "Hint")
KEY_PREVIOUS = Text("Atrás", "Back")
KEY_NEXT = Text("Sigue", "Next")
KEY_FOCUS = Text("Foco", "Focus")
KEY_STATE = Text("Estado", "State")
KEY_ZOOM = Text("Zoom", "Zoom")
KEY_CHECK = Text("Comprueba", "Check")
KEY_SHELL = Text("Terminal", "Shell")
KEY_MENU = Text("Menú", "Menu")
KEY_HOME = Text("Inicio", "Home")
KEY_QUIT = Text("Salir", "Quit")
KEY_OPEN = Text("Abre", "Open")
KEY_DO = Text("Hazlo", "Do it")
KEY_CHOOSE = Text("Elige", "Choose")
KEY_CLOSE = Text("Cierra", "Close")

HELP_TITLE = Text("Ayuda", "Help")
HELP_INTRODUCTION = Text(
    "Lee el paso, escribe en la terminal y mira el estado en vivo. Los pasos se superan solos en cuanto el "
    "kernel y la API dicen que se cumple lo pedido: da igual con qué órdenes llegues.",
    "Read the step, type in the shell, watch the live state. Steps pass on their own as soon as the kernel "
    "and the API say that what was asked for holds: any commands that get there are right.",
)
HELP_KEYS_HEADING = Text(
    "Teclas, y fuera de la terminal también letras", "Keys, and outside the shell letters, too"
)
HELP_KEYS: tuple[tuple[str, str, Text], ...] = (
    ("F1", "?", Text("esta ayuda", "this help")),
    ("F2", "l", Text("cambia de idioma", "changes the language")),
    ("F3", "h", Text("una pista más", "one more hint")),
    ("F4 F5", "p n", Text("paso anterior, paso siguiente", "previous step, next step")),
    (
        "F6",
        "Tab",
        Text(
            "pasa el foco: terminal, texto, estado (Esc: terminal)",
            "moves the focus: shell, text, state (Esc: shell)",
        ),
    ),
    (
        "F7",
        "s",
        Text(
            "estado en vivo, Raft, qué ha cambiado o nada", "the live state, Raft, what changed, or neither"
        ),
    ),
    ("F8", "z", Text("agranda el panel que tiene el foco", "enlarges the pane that has the focus")),
    ("F9", "v", Text("comprueba ahora mismo", "checks right now")),
    ("F10", "q", Text("vuelve al inicio; allí, sale", "goes home; at home, quits")),
    (
        "F11",
        "t",
        Text("pasa a la otra terminal, si hay varias", "goes to the other shell, if there are several"),
    ),
    (
        "F12",
        "m",
        Text("menú: otra terminal, examen y todo lo demás", "menu: another shell, test and all the rest"),
    ),
    ("", "a b…", Text("responde a la pregunta del paso", "answers the step's question")),
    (
        "",
        "w",
        Text("enseña qué ha cambiado desde que empezó el paso", "shows what changed since the step began"),
    ),
    ("", "f", Text("enseña Raft, si hay varios másteres", "shows Raft, if there are several masters")),
    ("", "d d", Text("la lección hace el paso por ti", "the lesson does the step for you")),
    ("", "r r", Text("empieza el paso de nuevo", "begins the step again")),
    ("", "o o", Text("empieza la lección de cero", "starts the lesson over")),
)
HELP_SHELL = Text(
    "Todas las demás teclas son de la terminal. Mayús+RePág, Mayús+AvPág y la rueda recorren su historia.",
    "All other keys belong to the shell. Shift+PageUp, Shift+PageDown and the wheel go through its history.",
)
HELP_OTHER_SHELLS = Text(
    "Cualquier otra terminal de este equipo entra también: kubelab shell MÁQUINA.",
    "Any other terminal of this computer joins as well: kubelab shell MACHINE.",
)
HELP_SIGNS_HEADING = Text("Signos", "Signs")
HELP_SIGNS: tuple[tuple[str, Text], ...] = (
    ("✓", Text("cumplida", "met")),
    ("…", Text("todavía no", "not yet")),
    ("?", Text("no se puede comprobar; no es culpa tuya", "cannot check; no fault of yours")),
    ("»", Text("paso hecho por la lección", "step done by the lesson")),
    ("↻", Text("lección que toca repasar", "lesson that is due for review")),
    ("+ - ~", Text("nuevo, desaparecido, distinto", "new, gone, different")),
    ("● ◌ ✗", Text("pod en marcha, en camino, con fallo", "pod running, on its way, failed")),
    ("★ ○ ◐", Text("líder, seguidor, candidato de Raft", "Raft's leader, follower, candidate")),
    ("‖ ✗", Text("miembro detenido, miembro muerto", "member that is stopped, member that is dead")),
    ("◆", Text("proceso con su propio espacio de PID", "process with a PID namespace of its own")),
    ("17→1", Text("PID en la máquina → PID dentro", "PID on the machine → PID inside")),
)


def pod_name(pod: PodView) -> str:
    return pod.name if pod.namespace == "default" else f"{pod.namespace}/{pod.name}"
