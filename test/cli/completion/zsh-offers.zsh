# Sourced by an interactive zsh: each word that its completion offers is printed as OFFER:word, then DONE.
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd "$@"
    return
  fi
  local -a hits
  builtin compadd -O hits "$@"
  (( $#hits )) && print -l -- "OFFER:"$^hits
  builtin compadd "$@"
}
done-line() { print DONE; exit }
comppostfuncs=(done-line)
