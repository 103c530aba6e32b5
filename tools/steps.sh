# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# The steps that tools/try and tools/check share; sourced from the top of the tree.

say()
{
    printf '%s\n' "$*" >&2
}

# quietly LOG COMMAND...: everything it prints goes into LOG, which is shown if it fails.
quietly()
{
    local log=$1 status=0
    shift
    "$@" >>"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ]; then
        cat "$log" >&2
        say "failed (status $status): $*"
    fi
    return "$status"
}

# build DIR TARGET SETUP_OPTION...: configures DIR with the options unless it is configured, and builds TARGET in it.
build()
{
    local dir=$1 target=$2 log status=0
    shift 2
    log=$(mktemp "${TMPDIR:-/tmp}/quern-build.XXXXXX") || return
    say "building in $dir/ (a minute or so the first time)"
    if [ ! -f "$dir/build.ninja" ]; then
        quietly "$log" meson setup "$@" "$dir" || status=$?
    fi
    [ "$status" -ne 0 ] || quietly "$log" ninja -C "$dir" "$target" || status=$?
    rm -f "$log"
    return "$status"
}

# Configures build-asan, of which `meson test` builds what its tests need, and has what goes wrong in it end the test.
configure_sanitized()
{
    # With frame pointers, where memory came from is known without unwinding by tables, which took most of the time.
    build build-asan build.ninja --buildtype=debugoptimized -Db_sanitize=address,undefined -Dc_args=-fno-omit-frame-pointer
    export UBSAN_OPTIONS=${UBSAN_OPTIONS-halt_on_error=1:print_stacktrace=1}
}

# What mpirun needs here and would otherwise refuse or complain about.
prepare_mpi()
{
    if [ "$(id -u)" -eq 0 ]; then
        say "Open MPI refuses to run as root by default: setting OMPI_ALLOW_RUN_AS_ROOT=1 and" \
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 for this run"
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    # Where a container forbids process_vm_readv, Open MPI prints "Read -1, expected …" for every large message before
    # it goes through shared memory instead. The first name is Open MPI 4's, the second Open MPI 5's.
    if ! python3 tools/may_read_memory.py; then
        say "This container forbids processes to read each other's memory: telling Open MPI not to try"
        export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_smsc='^cma'
    fi
}
