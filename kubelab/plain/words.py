"""Every sentence that plain mode says, in both languages."""

from kubelab.language import Text

GREETING = Text(
    "kubelab, modo de líneas. El laboratorio arranca.", "kubelab, line by line. The lab is coming up."
)
PHASE = Text("Listo: {name}.", "Ready: {name}.")
LESSON = Text(
    "{number}. {title}: {progress}, {minutes} min, {id}", "{number}. {title}: {progress}, {minutes} min, {id}"
)
PROGRESS = Text("{passed} de {n} pasos superados", "{passed} of {n} steps passed")
MISSING = Text("No funciona en esta máquina. {why}", "It does not work on this machine. {why}")
HOME = Text(
    "Escribe el número o el nombre de una lección; :help explica el resto.",
    "Type the number or the name of a lesson; :help explains the rest.",
)
HOME_HELP = Text(
    "El número o el nombre de una lección la abre.\n"
    ":home lee la lista otra vez. :lang es o :lang en cambia de idioma. :quit, o Ctrl+D, sale.",
    "The number or the name of a lesson opens it.\n"
    ":home reads the list again. :lang es or :lang en changes the language. :quit, or Ctrl+D, leaves.",
)
OPENING = Text("Se prepara la lección «{title}».", "The lesson “{title}” is being set up.")
TAKING_DOWN = Text("Se recoge el laboratorio.", "Taking the lab down.")

STEP = Text("Paso {n} de {count}: {title}", "Step {n} of {count}: {title}")
STEP_DONE = Text("Paso {n} de {count}, ya superado: {title}", "Step {n} of {count}, already passed: {title}")
SHELL = Text(
    "Lo que escribas ahora es para el shell de {machine}. Lo que empieza por dos puntos es para el "
    "laboratorio: :hint, :check, :next, :help.",
    "What you type now is for the shell on {machine}. What begins with a colon is for the lab: "
    ":hint, :check, :next, :help.",
)
ANYWHERE = Text(
    "Dentro de otro programa, Ctrl+] y después la palabra.",
    "Inside another program, press Ctrl+] and then type the word.",
)
HELP = Text(
    ":hint      una pista más\n"
    ":check     comprueba ahora mismo y dice qué falta\n"
    ":wait      espera hasta que el paso se supere; :wait 60, a lo sumo 60 segundos\n"
    ":next      paso siguiente\n"
    ":back      paso anterior\n"
    ":text      lee el paso otra vez\n"
    ":state     el estado en vivo\n"
    ":reset     empieza el paso de nuevo, con otro shell\n"
    ":lang es   cambia de idioma (:lang en, al inglés)\n"
    ":home      vuelve a la lista de lecciones\n"
    ":quit      sale\n"
    "Todo lo demás es para el shell. Ctrl+C interrumpe lo que corre en él.",
    ":hint      one more hint\n"
    ":check     checks right now, and says what is missing\n"
    ":wait      waits until the step is passed; :wait 60, for 60 seconds at most\n"
    ":next      the next step\n"
    ":back      the step before\n"
    ":text      reads the step again\n"
    ":state     the live state\n"
    ":reset     begins the step again, with another shell\n"
    ":lang es   changes the language to Spanish (:lang en, to English)\n"
    ":home      goes back to the list of lessons\n"
    ":quit      leaves\n"
    "Everything else is for the shell. Ctrl+C interrupts what runs there.",
)

MET = Text("Cumplida: {what}.", "Met: {what}.")
NOT_YET = Text("Todavía no: {what}.", "Not yet: {what}.")
CANNOT_CHECK = Text("No se puede comprobar: {what}.", "Cannot check: {what}.")
OBSERVED = Text("Se observa: {what}.", "Observed: {what}.")
REASON = Text("Motivo: {what}.", "Reason: {what}.")
LOOK = Text("Míralo con: {command}", "See it with: {command}")
NO_CHECKS = Text("Este paso aún no tiene nada que comprobar.", "This step has nothing to check yet.")
HINT = Text("Pista {n} de {count}.", "Hint {n} of {count}.")
NO_MORE_HINTS = Text("Este paso no tiene más pistas.", "This step has no more hints.")
MISCONCEPTION = Text("Ojo.", "Mind.")
STEP_PASSED = Text("Paso superado: {title}.", "Step passed: {title}.")
LESSON_PASSED = Text(
    "Lección superada: {title}. :home vuelve a la lista.",
    "Lesson passed: {title}. :home goes back to the list.",
)
GO_ON = Text(":next sigue con el paso siguiente.", ":next goes on to the next step.")
FIRST_STEP = Text("Este es el primer paso.", "This is the first step.")
LAST_STEP = Text(
    "Este es el último paso. :home vuelve a la lista.", "This is the last step. :home goes back to the list."
)
RESET_DONE = Text("El paso empieza de nuevo, con otro shell.", "The step begins again, with another shell.")
WAITED_IN_VAIN = Text(
    "El paso no se ha superado en {seconds} s: :check dice qué falta.",
    "The step did not pass within {seconds} s: :check says what is missing.",
)
SECONDS_MEANT = Text(
    ":wait quiere un número de segundos, no «{word}»: por ejemplo, :wait 60.",
    ":wait takes a number of seconds, not “{word}”: for example, :wait 60.",
)
LANGUAGE_MEANT = Text("Escribe :lang es o :lang en.", "Type :lang es or :lang en.")
LANGUAGE = Text("Ahora en español.", "Now in English.")
UNKNOWN = Text("No hay palabra :{word}; {hint}", "There is no word :{word}; {hint}")
OBSTACLE = Text("Obstáculo.", "Obstacle.")
READING = Text(
    "Esta lección solo se puede leer aquí: :text, :hint, :next, :back, :home.",
    "This lesson can only be read here: :text, :hint, :next, :back, :home.",
)
SHELL_ENDED = Text(
    "El shell ha terminado. Intro abre otro; :home vuelve a la lista.",
    "The shell has ended. Enter opens another; :home goes back to the list.",
)

MACHINE = Text("Máquina {name}, {role}, {address}.", "Machine {name}, {role}, {address}.")
NODE = Text("Nodo {name}: {status}.", "Node {name}: {status}.")
POD = Text(
    "Pod {name}: {status}, {ready} listos, reinicios {restarts}.",
    "Pod {name}: {status}, {ready} ready, restarts {restarts}.",
)
POD_PLACE = Text(
    "Está en {node}, dirección {ip}, procesos {pids}.", "It is on {node}, address {ip}, processes {pids}."
)
POD_WAITS = Text("Espera un nodo.", "It waits for a node.")
NO_PODS = Text("No hay pods.", "There are no pods.")
EVENT = Text("Suceso {reason}, {about}: {message}", "Event {reason}, {about}: {message}")
REVISION = Text("Revisión del almacén: {n}.", "Revision of the store: {n}.")
PROCESS = Text("PID {pid}: {command}", "PID {pid}: {command}")
PROCESS_INSIDE = Text(
    "PID {pid}, y {inside} en su espacio de PID {namespace}: {command}",
    "PID {pid}, and {inside} in its PID namespace {namespace}: {command}",
)
NOTHING_YET = Text("Todavía no hay nada que contar.", "There is nothing to tell yet.")
