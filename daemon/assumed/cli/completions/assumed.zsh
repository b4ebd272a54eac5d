#compdef assumed
# zsh completion for assumed: what fits is asked of `assumed` itself, so it is never out of step.
_assumed() {
    local line kind value help
    local -a lines described
    lines=("${(@f)$(_ASSUMED_COMPLETE=zsh _ASSUMED_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" \
        command ${(Q)words[1]} 2>/dev/null)}")
    [[ $PREFIX == --*=* ]] && compset -P '*='
    for line in $lines; do
        IFS=$'\t' read -r kind value help <<<"$line"
        case $kind in
            plain) described+=("${value//:/\\:}${help:+:$help}") ;;
            file) _files ;;
            dir) _files -/ ;;
            command) # another program's command line: `value` of its words are complete
                shift $((CURRENT - 1 - value)) words
                CURRENT=$((value + 1))
                _normal
                ;;
        esac
    done
    (($#described)) && _describe -V assumed described
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _assumed "$@"
else
    compdef _assumed assumed
fi
