# fish completion for assumed: what fits is asked of `assumed` itself, so it is never out of step.
function __assumed_complete
    set -l typed (commandline -ct)
    set -l option (string match -r -- '^--[^=]*=' $typed) # which fish takes for a part of the word
    set -l path (string replace -r -- '^--[^=]*=' '' $typed)
    for line in (_ASSUMED_COMPLETE=fish _ASSUMED_LINE=(commandline -cp) command assumed 2>/dev/null)
        set -l part (string split \t -- $line)
        switch $part[1]
            case plain
                printf '%s\t%s\n' $part[2] "$part[3]"
            case file
                printf '%s\n' "$option"(__fish_complete_path $path)
            case dir
                printf '%s\n' "$option"(__fish_complete_directories $path '')
            case command
                # another program's command line: so many of its words are complete
                set -l words (commandline -opc)
                if test $part[2] -gt 0
                    set -l first (math 0 - $part[2])
                    complete -C (string join ' ' -- (string escape -- $words[$first..-1]) "$typed")
                else
                    complete -C "$typed"
                end
        end
    end
end

complete --command assumed --no-files --arguments '(__assumed_complete)'
