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
TESTED_OUT = Text("Superada por examen.", "Passed by a test.")
REVIEW_DUE = Text("Toca repasarla: :again {number}", "Due for review: :again {number}")
HOME = Text(
    "Escribe el número o el nombre de una lección; :help explica el resto.",
    "Type the number or the name of a lesson; :help explains the rest.",
)
HOME_HELP = Text(
    "El número o el nombre de una lección la abre.\n"
    ":again 1 la empieza de nuevo, con otros nombres y valores, como repaso.\n"
    ":test 1 te examina de ella: solo los objetivos, sin pistas; quien los alcanza la supera.\n"
    ":home lee la lista otra vez. :lang es o :lang en cambia de idioma. :quit, o Ctrl+D, sale.",
    "The number or the name of a lesson opens it.\n"
    ":again 1 begins it anew, with other names and values, as a review.\n"
    ":test 1 tests you on it: only the goals, no hints; who reaches them all passes it.\n"
    ":home reads the list again. :lang es or :lang en changes the language. :quit, or Ctrl+D, leaves.",
)
WHICH_LESSON = Text(
    ":{word} quiere el número o el nombre de una lección: por ejemplo, :{word} 1.",
    ":{word} takes the number or the name of a lesson: for example, :{word} 1.",
)
OPENING = Text("Se prepara la lección «{title}».", "The lesson “{title}” is being set up.")
OPENING_AGAIN = Text(
    "La lección «{title}» se prepara de nuevo, desde el principio.",
    "The lesson “{title}” is being set up anew, from its beginning.",
)
OPENING_TEST = Text("Se prepara el examen de «{title}».", "The test on “{title}” is being set up.")
TAKING_DOWN = Text("Se recoge el laboratorio.", "Taking the lab down.")

STEP = Text("Paso {n} de {count}: {title}", "Step {n} of {count}: {title}")
STEP_DONE = Text("Paso {n} de {count}, ya superado: {title}", "Step {n} of {count}, already passed: {title}")
STEP_SKIPPED = Text("Paso {n} de {count}, saltado: {title}", "Step {n} of {count}, skipped: {title}")
A_TEST = Text("Es un examen: sin pistas ni soluciones.", "This is a test: no hints and no solutions.")
BUSY = Text("El laboratorio trabaja. {what}.", "The lab is at work. {what}.")
SHELL = Text(
    "Lo que escribas ahora es para el shell de {machine}. Lo que empieza por dos puntos es para el "
    "laboratorio: :hint, :check, :next, :help.",
    "What you type now is for the shell on {machine}. What begins with a colon is for the lab: "
    ":hint, :check, :next, :help.",
)
SHELL_IN_A_TEST = Text(
    "Lo que escribas ahora es para el shell de {machine}. Lo que empieza por dos puntos es para el "
    "laboratorio: :check, :next, :text, :help.",
    "What you type now is for the shell on {machine}. What begins with a colon is for the lab: "
    ":check, :next, :text, :help.",
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
    ":predict   responde a la pregunta del paso: :predict a, o sin nada, y te la pide\n"
    ":changed   qué ha cambiado desde que empezó el paso; :changed all, sin abreviar\n"
    ":state     el estado en vivo\n"
    ":shells    los shells abiertos, y dónde se puede abrir otro\n"
    ":shell     pasa a otro: :shell minion-2, o :shell 1; :shell new abre uno más\n"
    ":reset     empieza el paso de nuevo, con otro shell\n"
    ":solve     el laboratorio escribe la solución del paso\n"
    ":skip      lo mismo, y sigue con el paso siguiente\n"
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
    ":predict   answers the step's question: :predict a, or alone, and it asks you\n"
    ":changed   what is different since the step began; :changed all, unabridged\n"
    ":state     the live state\n"
    ":shells    the open shells, and where another can be opened\n"
    ":shell     goes to another: :shell minion-2, or :shell 1; :shell new opens one more\n"
    ":reset     begins the step again, with another shell\n"
    ":solve     the lab types the solution of the step\n"
    ":skip      the same, and goes on to the next step\n"
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
SKIPPED = Text(
    "Paso saltado: {title}. El laboratorio escribió la solución.",
    "Step skipped: {title}. The lab typed the solution.",
)
LESSON_PASSED = Text(
    "Lección superada: {title}. :home vuelve a la lista.",
    "Lesson passed: {title}. :home goes back to the list.",
)
TEST_PASSED = Text(
    "Examen superado: {title}. :home vuelve a la lista.",
    "Test passed: {title}. :home goes back to the list.",
)
GO_ON = Text(":next sigue con el paso siguiente.", ":next goes on to the next step.")
FIRST_STEP = Text("Este es el primer paso.", "This is the first step.")
LAST_STEP = Text(
    "Este es el último paso. :home vuelve a la lista.", "This is the last step. :home goes back to the list."
)
RESET_DONE = Text("El paso empieza de nuevo, con otro shell.", "The step begins again, with another shell.")
WAITING = Text(
    "Se espera hasta {seconds} s a que el paso se supere; Ctrl+C lo deja.",
    "Waiting up to {seconds} s for the step to pass; Ctrl+C ends that.",
)
WAITED_IN_VAIN = Text(
    "El paso no se ha superado en {seconds} s: :check dice qué falta.",
    "The step did not pass within {seconds} s: :check says what is missing.",
)
WAIT_INTERRUPTED = Text(
    "Ya no se espera. El paso no se ha superado: :check dice qué falta.",
    "No longer waiting. The step has not passed: :check says what is missing.",
)
SECONDS_MEANT = Text(
    ":wait quiere un número de segundos, no «{word}»: por ejemplo, :wait 60.",
    ":wait takes a number of seconds, not “{word}”: for example, :wait 60.",
)
NOT_IN_A_TEST = Text(
    "En un examen no hay pistas ni soluciones. :text lee los objetivos; :home sale del examen.",
    "In a test there are no hints and no solutions. :text reads the goals; :home leaves the test.",
)
PASSED_ALREADY = Text("Este paso ya está superado.", "This step is passed already.")
CONFIRM = Text(
    "El laboratorio escribirá la solución; el paso constará como saltado. Para confirmar, :{word} otra vez.",
    "The lab will type the solution, and the step will count as skipped. To confirm, :{word} again.",
)

QUESTION = Text("Pregunta.", "Question.")
CHOICE = Text("{letter}) {text}", "{letter}) {text}")
ANSWER_BY_LETTER = Text(
    "Responde con :predict y la letra, si quieres; se puede cambiar hasta que el sistema responda.",
    "Answer with :predict and the letter, if you like; it can be changed until the system answers.",
)
ANSWER_FREELY = Text(
    "Responde con :predict, si quieres: te la pedirá. Se puede cambiar hasta que el sistema responda.",
    "Answer with :predict, if you like: it will ask you. It can be changed until the system answers.",
)
YOUR_ANSWER = Text("Tu respuesta hasta ahora: {answer}", "Your answer so far: {answer}")
ANSWER_ASKED = Text("Escribe tu respuesta y pulsa Intro.", "Write your answer and press Enter.")
PREDICTED = Text("Tu predicción queda anotada: {answer}", "Your prediction is noted: {answer}")
NO_QUESTION = Text("Este paso no pregunta nada.", "This step asks no question.")
NO_ANSWER = Text("Nada anotado.", "Nothing was noted.")
WHICH_CHOICE = Text(
    "«{word}» no es ninguna de las respuestas: {letters}.", "“{word}” is none of the answers: {letters}."
)
ANSWERED_ALREADY = Text(
    "El sistema ya ha respondido: la predicción no se puede cambiar.",
    "The system has answered already: the prediction cannot be changed.",
)
YOU_PREDICTED = Text("Predijiste: {answer}", "You predicted: {answer}")
SYSTEM_ANSWERED = Text("El sistema responde: {value}", "The system answers: {value}")
SYSTEM_CHOSE = Text("Es la respuesta {choice}", "That is answer {choice}")
RIGHT = Text("Coincide con tu predicción.", "It agrees with your prediction.")
WRONG = Text("No coincide con tu predicción.", "It does not agree with your prediction.")
COMPARE = Text("Compáralo con tu predicción.", "Compare it with your prediction.")

NOTHING_CHANGED = Text(
    "Nada ha cambiado desde que empezó el paso.", "Nothing is different since the step began."
)
MORE_CHANGES = Text("y más; :changed {kind} lo dice todo.", "and more; :changed {kind} tells all.")
CHANGE_KINDS = Text(
    ":changed quiere all, o una clase de cosas: {kinds}.", ":changed takes all, or a kind of things: {kinds}."
)
NOTHING_OF_THAT_KIND = Text(
    "Nada de esa clase ha cambiado desde que empezó el paso.",
    "Nothing of that kind is different since the step began.",
)
CHANGED_ON = Text("Ha cambiado en {place}:", "Different on {place}:")
CHANGED_IN_CLUSTER = Text("Ha cambiado en el clúster:", "Different in the cluster:")

SHELL_LINE = Text("Shell {number}, en {machine}.", "Shell {number}, on {machine}.")
SHELL_LINE_FRONT = Text(
    "Shell {number}, en {machine}: es el de ahora.", "Shell {number}, on {machine}: the present one."
)
SHELL_LINE_NEWS = Text(
    "Shell {number}, en {machine}: ha escrito algo.",
    "Shell {number}, on {machine}: it has printed something.",
)
NO_SHELL = Text("No hay ningún shell abierto.", "No shell is open.")
SHELL_PLACES = Text(
    "Máquinas: {machines}. :shell y el nombre de una abre un shell en ella.",
    "Machines: {machines}. :shell and the name of one opens a shell there.",
)
SHELL_MEANT = Text(
    ":shell quiere el número de un shell, una máquina o new, no «{word}». :shells dice qué hay.",
    ":shell takes the number of a shell, a machine or new, not “{word}”. :shells says what there is.",
)
SHELL_OPENED = Text("Shell nuevo: {number}, en {machine}.", "New shell: {number}, on {machine}.")
SHELL_RESUMED = Text("Vuelves al shell {number}, en {machine}.", "Back in shell {number}, on {machine}.")
SHELL_SAME = Text(
    "Ya estás en el shell {number}, en {machine}. :shell new abre uno más.",
    "You are in shell {number}, on {machine}, already. :shell new opens one more.",
)
SHELLS_FULL = Text(
    "Hay {count} shells abiertos, y más no caben: termina uno con exit.",
    "{count} shells are open, and no more can be: end one with exit.",
)
MEANWHILE = Text("Entretanto ha escrito:", "Meanwhile it printed:")
MEANWHILE_CUT = Text(
    "Entretanto ha escrito más de lo que se guarda. El final:",
    "Meanwhile it printed more than is kept. The end of it:",
)
OTHER_SHELL_ENDED = Text(
    "El shell {number}, en {machine}, ha terminado.", "Shell {number}, on {machine}, has ended."
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
REQUEST = Text(
    es="Petición de {user} a las {time}: {what}, código {code}.",
    en="Request of {user} at {time}: {what}, code {code}.",
)
EVENT = Text("Suceso {reason}, {about}: {message}", "Event {reason}, {about}: {message}")
REVISION = Text("Revisión del almacén: {n}.", "Revision of the store: {n}.")
RAFT_LEADER = Text(
    "Raft: mandato {term}, {name} es líder, viven {n} de {count} miembros y hacen falta {needed}.",
    "Raft: term {term}, {name} leads, {n} of {count} members live and {needed} are needed.",
)
RAFT_NO_LEADER = Text(
    "Raft: mandato {term}, sin líder, viven {n} de {count} miembros y hacen falta {needed}.",
    "Raft: term {term}, no leader, {n} of {count} members live and {needed} are needed.",
)
RAFT_ROLES: dict[str, Text] = {
    "leader": Text("{name} es líder en el mandato {term}.", "{name} leads in term {term}."),
    "follower": Text("{name} es seguidor en el mandato {term}.", "{name} is a follower in term {term}."),
    "pre-candidate": Text(
        "{name} es precandidato en el mandato {term}.", "{name} is a pre-candidate in term {term}."
    ),
    "candidate": Text("{name} es candidato en el mandato {term}.", "{name} is a candidate in term {term}."),
    "learner": Text("{name} es aprendiz en el mandato {term}.", "{name} is a learner in term {term}."),
}
RAFT_STOPPED = Text(
    "{name} está detenido: está, y no contesta.", "{name} is stopped: it is there, and does not answer."
)
RAFT_DEAD = Text("{name} está muerto.", "{name} is dead.")
RAFT_VOTED = Text("Votó a {name}.", "It voted for {name}.")
RAFT_LOG = Text(
    "Su registro llega hasta {last}: confirmado {commit}, aplicado {applied}.",
    "Its log goes up to {last}: commit {commit}, applied {applied}.",
)
RAFT_TAIL = Text("Últimas entradas, mandato por cantidad: {terms}.", "Last entries, term by number: {terms}.")
RAFT_HEARS = Text("Oye a {names}.", "It hears {names}.")
RAFT_HEARS_NOBODY = Text("No oye a nadie.", "It hears nobody.")
PROCESS = Text("PID {pid}: {command}", "PID {pid}: {command}")
PROCESS_INSIDE = Text(
    "PID {pid}, y {inside} en su espacio de PID {namespace}: {command}",
    "PID {pid}, and {inside} in its PID namespace {namespace}: {command}",
)
NOTHING_YET = Text("Todavía no hay nada que contar.", "There is nothing to tell yet.")
