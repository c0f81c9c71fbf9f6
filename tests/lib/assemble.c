/*
 * assemble.c - GNU as on a file with a label before each snippet; the object's sections are read back.
 *
 * The snippets' lengths come from a second section, a table of label differences, so no symbol has to be looked up.
 * A snippet must not refer to anything outside of itself: relocations are not applied.
 */
#include "lib/assemble.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool assemble_available(void) { return !system("command -v as >/dev/null 2>&1"); }

static bool write_source(const char *path, const struct snippet *snippet, size_t n)
{
    FILE *f = fopen(path, "w");

    if (!f)
        return false;
    fprintf(f, ".intel_syntax noprefix\n.text\n");
    for (size_t i = 0; i < n; i++)
        fprintf(f, ".code%d\nsnippet%zu: %s\n", snippet[i].code32 ? 32 : 64, i, snippet[i].text);
    fprintf(f, "snippet%zu:\n.section lengths\n", n);
    for (size_t i = 0; i < n; i++)
        fprintf(f, ".long snippet%zu - snippet%zu\n", i + 1, i);
    return !fclose(f);
}

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = NULL;
    long n;

    if (!f)
        return NULL;
    if (!fseek(f, 0, SEEK_END) && (n = ftell(f)) > 0 && !fseek(f, 0, SEEK_SET) && (bytes = malloc((size_t)n))) {
        *size = (size_t)n;
        if (fread(bytes, 1, *size, f) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(f);
    return bytes;
}

/* A section of an object that as has just written. */
static const uint8_t *find_section(const uint8_t *object, const char *name)
{
    const Elf64_Ehdr *header = (const void *)object;
    const Elf64_Shdr *section = (const void *)(object + header->e_shoff);
    const char *names = (const char *)object + section[header->e_shstrndx].sh_offset;

    for (unsigned i = 0; i < header->e_shnum; i++)
        if (!strcmp(names + section[i].sh_name, name))
            return object + section[i].sh_offset;
    return NULL;
}

static bool take_bytes(const uint8_t *object, struct snippet *snippet, size_t n)
{
    const uint8_t *text = find_section(object, ".text"), *lengths = find_section(object, "lengths");

    if (!text || !lengths)
        return false;
    for (size_t i = 0; i < n; i++) {
        memcpy(&snippet[i].length, lengths + 4 * i, 4);
        if (snippet[i].length > SNIPPET_BYTES)
            return false;
        memcpy(snippet[i].bytes, text, snippet[i].length);
        text += snippet[i].length;
    }
    return true;
}

bool assemble(struct snippet *snippet, size_t n)
{
    char folder[] = "/tmp/wideload-as-XXXXXX", source[64], object[64], command[256];
    uint8_t *bytes = NULL;
    size_t size;
    bool ok;

    if (!mkdtemp(folder))
        return false;
    snprintf(source, sizeof(source), "%s/a.s", folder);
    snprintf(object, sizeof(object), "%s/a.o", folder);
    snprintf(command, sizeof(command), "as --64 -o %s %s >&2", object, source);
    ok = write_source(source, snippet, n) && !system(command) && (bytes = read_whole(object, &size)) &&
         take_bytes(bytes, snippet, n);
    free(bytes);
    unlink(source);
    unlink(object);
    rmdir(folder);
    return ok;
}
