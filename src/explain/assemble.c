/* assemble.c - GNU as as a child process; its object file's .text is the answer (ELF-64 object file format). */
#include "explain/assemble.h"

#include <elf.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static bool run_as(const char *source, const char *object, unsigned mode, struct err *err)
{
    char *argv[] = { "as", (char *)(uintptr_t)(mode == 64 ? "--64" : "--32"), "-o", (char *)(uintptr_t)object,
                     (char *)(uintptr_t)source, NULL };
    GError *error = NULL;
    char *said = NULL;
    int status = 0;
    bool ok;

    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &said, &status, &error)) {
        err_set(err, "assembly text needs GNU as (or give --bytes): %s", error->message);
        g_error_free(error);
        return false;
    }
    ok = g_spawn_check_wait_status(status, NULL);
    if (!ok) {
        char *last = said ? strstr(said, "Error: ") : NULL;

        err_set(err, "as: %.*s", last ? (int)strcspn(last + 7, "\n") : 20, last ? last + 7 : "refused the instruction");
    }
    g_free(said);
    return ok;
}

/* The section of that name, within the file; NULL if the file is not such an object. */
static const void *find_text(const uint8_t *data, size_t size, bool wide, size_t *n)
{
    uint64_t table, count, stride, strings, offset = 0;

    if (size < sizeof(Elf64_Ehdr))
        return NULL;
    table = wide ? ((const Elf64_Ehdr *)(const void *)data)->e_shoff : ((const Elf32_Ehdr *)(const void *)data)->e_shoff;
    count = wide ? ((const Elf64_Ehdr *)(const void *)data)->e_shnum : ((const Elf32_Ehdr *)(const void *)data)->e_shnum;
    strings = wide ? ((const Elf64_Ehdr *)(const void *)data)->e_shstrndx : ((const Elf32_Ehdr *)(const void *)data)->e_shstrndx;
    stride = wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
    if (table > size || count * stride > size - table || strings >= count)
        return NULL;
    for (unsigned pass = 0, i = 0; i < count || !pass; i++) {
        const uint8_t *at = data + table + (pass ? i : strings) * stride;
        uint64_t name = *(const uint32_t *)(const void *)at;
        uint64_t from = wide ? ((const Elf64_Shdr *)(const void *)at)->sh_offset : ((const Elf32_Shdr *)(const void *)at)->sh_offset;
        uint64_t bytes = wide ? ((const Elf64_Shdr *)(const void *)at)->sh_size : ((const Elf32_Shdr *)(const void *)at)->sh_size;

        if (!pass) { /* the section names first */
            pass = 1;
            offset = from;
            i = UINT32_MAX;
            continue;
        }
        if (offset + name + 6 <= size && !memcmp(data + offset + name, ".text", 6) && from <= size && bytes <= size - from) {
            *n = bytes;
            return data + from;
        }
    }
    return NULL;
}

static bool read_object(const char *object, unsigned mode, uint8_t *bytes, size_t size, size_t *n, struct err *err)
{
    char *data;
    gsize length;
    const void *text;

    if (!g_file_get_contents(object, &data, &length, NULL))
        return err_set(err, "as left no object file");
    text = find_text((const uint8_t *)data, length, mode == 64, n);
    if (text && *n && *n <= size)
        memcpy(bytes, text, *n);
    g_free(data);
    return (text && *n && *n <= size) || err_set(err, "not one instruction");
}

/* One line that begins with a mnemonic: no directive, which may do anything and take for ever. */
static bool is_one_line(const char *text)
{
    return !strpbrk(text, "\n;") && text[strspn(text, " \t")] != '.';
}

bool assemble(const char *text, unsigned mode, uint8_t *bytes, size_t size, size_t *n, struct err *err)
{
    char *dir, *source, *object, *program;
    bool ok;

    if (!is_one_line(text))
        return err_set(err, "not one instruction");
    dir = g_dir_make_tmp("wideload-XXXXXX", NULL);
    if (!dir)
        return err_set(err, "no temporary folder");
    source = g_build_filename(dir, "insn.s", NULL);
    object = g_build_filename(dir, "insn.o", NULL);
    program = g_strdup_printf(".intel_syntax noprefix\n.code%u\n%s\n", mode, text);
    ok = g_file_set_contents(source, program, -1, NULL) || err_set(err, "cannot write %s", source);
    ok = ok && run_as(source, object, mode, err) && read_object(object, mode, bytes, size, n, err);
    g_unlink(source);
    g_unlink(object);
    g_rmdir(dir);
    g_free(program);
    g_free(object);
    g_free(source);
    g_free(dir);
    return ok;
}
