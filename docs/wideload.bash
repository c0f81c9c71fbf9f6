# wideload.bash - bash completion: commands, options, engines, policies, log categories, clocks, files.

_wideload_guest='--cpu= --memory= --bios= --kernel= --initrd= --append= --smp= --virtio= --testdev --edu --iommu --rng --balloon --virtio-console= --disk= --cdrom= --boot=
    --display= --vgabios= --serial= --debugcon= --split= --clock= --log= --log-file= --limit=
    --until= --journeys= --jit-cache= --jit-off= --help'
_wideload_policies='whole natural kvm qemu bochs unicorn bus:4 bus:8 bus:16 bus:32 bus:64 pcie'

_wideload_words() { # the words that fit, into COMPREPLY
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_wideload_files() { # more words, and file names
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"; compgen -f -- "$2")
    compopt -o filenames
}

# The last of a comma-separated list; the ones before it stay.
_wideload_list() {
    local before=
    [[ $2 == *,* ]] && before=${2%,*},
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$1" -- "${2##*,}")
}

_wideload_value() { # option, what is typed of its value
    case $1 in
    --engine | -e) _wideload_words 'interp jit kvm' "$2" ;;
    --engines) _wideload_list 'native interp jit kvm' "$2" ;;
    --mode) _wideload_words '64 32 16' "$2" ;;
    --isa) _wideload_list 'BASE BMI1 BMI2 SSE SSE2 SSE4 AVX AVX2 AVX512' "$2" ;;
    --switch) _wideload_words 'interp@1M:jit jit@1M:interp' "$2" ;;
    --assist) _wideload_words 'off instruction burst' "$2" ;;
    --db) _wideload_files '' "$2" ;;
    --report) _wideload_words 'text json junit' "$2" ;;
    --shard) _wideload_words '0/2 1/2 0/4' "$2" ;;
    --left | --right | -l | -r) _wideload_files 'interp jit kvm' "$2" ;;
    --cpu) _wideload_words 'max host x86-64-v1 x86-64-v2 x86-64-v3 x86-64-v4 Nehalem Haswell Skylake-Server Opteron' "$2" ;;
    --split) _wideload_words "$_wideload_policies" "$2" ;;
    --clock) _wideload_words 'virtual host journey' "$2" ;;
    --format) _wideload_words 'text json' "$2" ;;
    --log) _wideload_list 'in_asm op op_opt out_asm int mmu access guest unimp kvm map' "$2" ;;
    --jit-off) _wideload_list 'chain extend lazy jumps fold fuse tlb pages windows vectors x87' "$2" ;;
    --jit-cache) _wideload_words '1M 16M 64M 256M' "$2" ;;
    --memory | -m) _wideload_words '64M 128M 512M 1G 4G' "$2" ;;
    --disk | --cdrom | --share) _wideload_files '' "$2" ;;
    --virtio) _wideload_words 'pci mmio' "$2" ;;
    --on-panic) _wideload_words 'exit continue' "$2" ;;
    --display) _wideload_words 'none curses png:' "$2" ;;
    --boot) _wideload_words 'c d cd dc n c,menu=on' "$2" ;;
    --serial | --debugcon | --virtio-console) _wideload_files 'stdio none' "$2" ;;
    --bios | --vgabios | --kernel | --initrd | --save | --load | --replay | --trace | --jitdump | --log-file) _wideload_files '' "$2" ;;
    --net) _wideload_words 'user user,hostfwd=tcp::2222-:22 user,restrict=on' "$2" ;;
    --gdb) _wideload_files '1234' "$2" ;;
    --region) _wideload_words '0x10000000+0x10000 0x10000000+0x10000,widths=1-8' "$2" ;;
    --append | --limit | --until | --journeys | -n | --bytes | --cases | --time | --seed | --jobs | --r*) COMPREPLY=() ;;
    *) return 1 ;;
    esac
}

_wideload_options() { # command, what is typed
    case $1 in
    run) _wideload_words "--engine= --assist= --switch= --save= --load= --trace= --net= --share= --gdb= --gdb-wait --no-reboot --on-panic= --stats --perf-map --jitdump $_wideload_guest" "$2" ;;
    diff) _wideload_words "--left= --right= --assist= --format= --table $_wideload_guest" "$2" ;;
    explain) _wideload_words '--region= --bytes= --split= --rax= --rcx= --rdx= --rbx= --rsp= --rbp= --rsi= --rdi= --r8= --r9=
        --r10= --r11= --r12= --r13= --r14= --r15= --help' "$2" ;;
    fuzz) _wideload_words '--engines= --isa= --mode= --cases= --time= --first --system --seed= --shard= --jobs= --db= --report= --coverage
        --merge --replay= --help' "$2" ;;
    list) _wideload_words '--cpu= --help' "$2" ;;
    *) _wideload_words --help "$2" ;;
    esac
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
}

# bash cuts words at = and :, so "--split=bus:8" arrives in pieces; take the line's own last word instead.
_wideload() {
    local line=${COMP_LINE:0:COMP_POINT} command=${COMP_WORDS[1]-} word previous cut=
    word=${line##*[[:space:]]}
    previous=${line%"$word"}
    previous=${previous%"${previous##*[![:space:]]}"}
    previous=${previous##*[[:space:]]}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _wideload_words 'run diff explain fuzz bench list --help' "$word"
    elif [[ $word == --*=* ]]; then
        _wideload_value "${word%%=*}" "${word#*=}"
        cut=${word#*=}
    elif [[ $word == -* ]]; then
        _wideload_options "$command" "$word"
    elif [[ $previous == -* && $previous != *=* ]] && _wideload_value "$previous" "$word"; then
        cut=$word
    elif [[ $command == list ]]; then
        _wideload_words 'devices engines policies unimplemented cpus cpuid jit-switches' "$word"
    elif [[ $command == bench ]]; then
        _wideload_words assist "$word"
    elif [[ $command == run || $command == diff ]]; then
        _wideload_files '' "$word"
    fi
    if [[ $cut == *:* && $COMP_WORDBREAKS == *:* ]]; then # what stands before the colon is not asked for again
        COMPREPLY=("${COMPREPLY[@]#"${cut%"${cut##*:}"}"}")
    fi
    return 0
}

complete -F _wideload wideload
