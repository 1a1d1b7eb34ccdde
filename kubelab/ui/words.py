"""Every word of the interface, in both languages."""

from kubelab.cluster.lab.snapshot import PodView
from kubelab.language import Text

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
STEPS = Text("{passed} de {n} pasos", "{passed} of {n} steps")
OPENING = Text("Se prepara la lección «{title}»", "The lesson “{title}” is being set up")
OPENING_WAITS = Text("Espera a que el laboratorio esté listo…", "It waits until the lab is ready…")
OPENING_CANCEL = Text("Esc: volver", "Esc: go back")
TAKING_DOWN = Text("Se recoge el laboratorio…", "Taking the lab down…")

# Lesson.
STEP_OF = Text("Paso {n} de {count}", "Step {n} of {count}")
TEXT = Text("Lección", "Lesson")
SHELL = Text("Terminal en {machine}", "Shell on {machine}")
STATE = Text("Estado en vivo", "Live state")
HISTORY = Text("↑ historia: cualquier tecla vuelve", "↑ history: any key returns")
SHELL_ENDED = Text(
    "La shell ha terminado. Pulsa Enter para abrir otra.", "The shell has ended. Press Enter for a new one."
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
STEP_PASSED = Text("¡Paso superado! {title}", "Step passed! {title}")
STEP_PASSED_NEXT = Text("F5: siguiente", "F5: next")
LESSON_PASSED = Text("¡Lección superada! {title}", "Lesson passed! {title}")
LESSON_PASSED_NEXT = Text("F10: al inicio", "F10: home")
RESET_ASKS = Text(
    "Pulsa r otra vez para empezar el paso de nuevo.", "Press r once more to begin this step again."
)
RESET_DONE = Text("El paso empieza de nuevo.", "The step begins again.")
FIRST_STEP = Text("Este es el primer paso.", "This is the first step.")
LAST_STEP = Text("Este es el último paso. F10: al inicio.", "This is the last step. F10: home.")
CHECKED_NOW = Text("Comprobado ahora mismo.", "Checked just now.")

# Live state.
WAITS_FOR_A_NODE = Text("espera un nodo", "waits for a node")
NO_PODS = Text("sin pods", "no pods")
REVISION = Text("revisión {n}", "revision {n}")
CONTROL_PLANE = Text("plano de control", "control plane")
RESTARTS = Text("reinicios {n}", "restarts {n}")
NOTHING_YET = Text("Todavía no hay nada que mostrar.", "There is nothing to show yet.")
ON_HOST = Text("anfitrión", "on host")
ON_MACHINE = Text("máquina", "machine")
INSIDE = Text("dentro", "inside")
PROCESS = Text("proceso", "process")
OWN_NAMESPACE = Text("espacio de PID …{tail}", "PID namespace …{tail}")
EVENT = Text("suceso", "event")

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
KEY_HOME = Text("Inicio", "Home")
KEY_QUIT = Text("Salir", "Quit")
KEY_OPEN = Text("Abre", "Open")
KEY_CHOOSE = Text("Elige", "Choose")
KEY_CLOSE = Text("Cierra", "Close")

HELP_TITLE = Text("Ayuda", "Help")
HELP_INTRODUCTION = Text(
    "Lee el paso, escribe en la terminal y mira el estado en vivo. Los pasos se superan solos en cuanto el "
    "núcleo y la API dicen que se cumple lo pedido: da igual con qué órdenes llegues.",
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
    ("F7", "s", Text("enseña o esconde el estado en vivo", "shows or hides the live state")),
    ("F8", "z", Text("agranda el panel que tiene el foco", "enlarges the pane that has the focus")),
    ("F9", "c", Text("comprueba ahora mismo", "checks right now")),
    ("", "r r", Text("empieza el paso de nuevo", "begins the step again")),
    ("F10", "q", Text("vuelve al inicio; allí, sale", "goes home; at home, quits")),
)
HELP_SHELL = Text(
    "Todas las demás teclas son de la terminal. Mayús+RePág, Mayús+AvPág y la rueda recorren su historia.",
    "All other keys belong to the shell. Shift+PageUp, Shift+PageDown and the wheel go through its history.",
)
HELP_SIGNS_HEADING = Text("Signos", "Signs")
HELP_SIGNS: tuple[tuple[str, Text], ...] = (
    ("✓", Text("cumplida", "met")),
    ("…", Text("todavía no", "not yet")),
    ("?", Text("no se puede comprobar; no es culpa tuya", "cannot check; no fault of yours")),
    ("● ◌ ✗", Text("pod en marcha, en camino, con fallo", "pod running, on its way, failed")),
    ("◆", Text("proceso con su propio espacio de PID", "process with a PID namespace of its own")),
    ("17→1", Text("PID en la máquina → PID dentro", "PID on the machine → PID inside")),
)


def pod_name(pod: PodView) -> str:
    return pod.name if pod.namespace == "default" else f"{pod.namespace}/{pod.name}"
