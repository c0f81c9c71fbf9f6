/*
 * no_exec.c - runs a command where no new memory can be made executable, as hardened hosts have it.
 *
 * usage: no_exec COMMAND [ARGUMENT...]
 *
 * A seccomp filter refuses mmap() of shared or anonymous memory with PROT_EXEC, and mprotect() with PROT_EXEC.  Private
 * mappings of files stay allowed: libraries are loaded by them.  Exit status 77: the host has no seccomp.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define IF_ANY(bits, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, yes, no)
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)

int main(int argc, char **argv)
{
    struct sock_filter filter[] = {
        LOAD(nr),
        IF_EQUAL(SYS_mmap, 0, 4),
        LOAD(args[2]),
        IF_ANY(PROT_EXEC, 0, 6),
        LOAD(args[3]),
        IF_ANY(MAP_SHARED | MAP_ANONYMOUS, 3, 4),
        IF_EQUAL(SYS_mprotect, 0, 3),
        LOAD(args[2]),
        IF_ANY(PROT_EXEC, 0, 1),
        ANSWER(SECCOMP_RET_ERRNO | 1 /* EPERM */),
        ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

    if (argc < 2)
        return 2;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
        return 77;
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 2;
}
