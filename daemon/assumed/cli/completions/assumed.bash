# bash completion for assumed: what fits is asked of `assumed` itself, so it is never out of step.
_assumed() {
    local type value
    COMPREPLY=()
    while read -r type value; do
        case $type in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
            command) _assumed_command "$value" "$2" ;;
        esac
    done < <(_ASSUMED_COMPLETE=bash _ASSUMED_LINE="${COMP_LINE:0:COMP_POINT}" _ASSUMED_WORD="$2" \
        command "$1" 2>/dev/null)
}

# Another program's command line (`assumed exec PROFILE -- …`): $1 of its words are complete, $2 is being typed.
_assumed_command() {
    local marker
    if declare -F _command_offset >/dev/null; then # of the package bash-completion
        for ((marker = 1; marker < COMP_CWORD; marker++)); do
            [[ ${COMP_WORDS[marker]} == -- ]] && { _command_offset $((marker + 1)); return; }
        done
    fi
    if [[ $1 == 0 && $2 != */* ]]; then
        mapfile -t COMPREPLY < <(compgen -A command -- "$2")
    else
        compopt -o default
    fi
}

complete -o nosort -F _assumed assumed 2>/dev/null || complete -F _assumed assumed
