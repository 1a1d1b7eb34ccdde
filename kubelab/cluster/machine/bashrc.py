"""What every shell on a machine begins with: the prompt that says where one is, and a few aliases.

In ~/.bashrc, and not in a file of our own: a `bash` started inside a namespace reads it as well.
"""

PATH = "/root/.bashrc"
MORE = "KUBELAB_BASHRC"  # Names another file of commands, for one shell and those that are started in it.
CONTENT = r"""# The lab's shell.
PS1='\[\e[1;32m\]\u@\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ '
alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto' k=kubectl
unset HISTFILE
shopt -s checkwinsize
[ -z "$KUBELAB_BASHRC" ] || . "$KUBELAB_BASHRC"
"""
