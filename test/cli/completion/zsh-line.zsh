# Prints what zsh offers for a command line: zsh -f zsh-line.zsh FOLDER-OF-SCRIPT LINE
# A second zsh, on a terminal of its own, presses the Tab key; its compadd says what it is given.
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "PS1= PS2=; stty -echo; fpath=(${(q)1} \$fpath); autoload -Uz compinit && compinit -C -d ${(q)1}/zcompdump"
zpty -w inner "source ${(q)0:A:h}/zsh-offers.zsh"
zpty -w inner "print READ''Y"
zpty -r inner out '*READY*'
zpty -n -w inner "$2"$'\t'
zpty -r inner out '*DONE*'
print -r -- $out
zpty -d inner
