# Prints what bash offers for a command line: bash bash-line.bash SCRIPT WORD... (the last word is being typed)
source "$1"
shift
# it belongs to a line that is being typed, and there is none
compopt() { :; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
_coffre
printf '%s\n' "${COMPREPLY[@]}"
