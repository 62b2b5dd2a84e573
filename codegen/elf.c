/* elf.c: relocatable ELF objects that hold data only, written without LLVM: weights of any size stream from
 * where they are to the file.  64-bit little-endian machines.  Also answers what an object leaves undefined.
 */
#include "codegen/llvm.h"

#include <elf.h>
#include <errno.h>

enum { S_NULL, S_DATA, S_STACK, S_SYMTAB, S_STRTAB, S_NAMES, NSECTIONS };

static const char section_names[] = "\0.rodata.weights\0.note.GNU-stack\0.symtab\0.strtab\0.shstrtab";

static uint32_t name_offset(const char *name) {
    for (uint32_t i = 0; i < sizeof section_names; i++)
        if (!strcmp(section_names + i, name)) return i;
    return 0;
}

static Elf64_Ehdr file_header(const cg_target *t, uint64_t sections) {
    static const uint16_t machines[] = {EM_X86_64, EM_AARCH64, 243 /* EM_RISCV */};
    Elf64_Ehdr h = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE}};
    h.e_type = ET_REL;
    h.e_machine = machines[t->arch];
    h.e_version = EV_CURRENT;
    h.e_flags =
        t->arch == CG_RISCV ? 0x5 : 0; /* compressed instructions, double-float ABI: as our code objects */
    h.e_ehsize = sizeof h;
    h.e_shoff = sections;
    h.e_shentsize = sizeof(Elf64_Shdr);
    h.e_shnum = NSECTIONS;
    h.e_shstrndx = S_NAMES;
    return h;
}

typedef struct writer {
    FILE *f;
    uint64_t at;
    bool ok;
} writer;

static void write_bytes(writer *w, const void *p, size_t n) {
    if (n && fwrite(p, 1, n, w->f) != n) w->ok = false;
    w->at += n;
}

static void write_zeros(writer *w, uint64_t to) {
    static const char zeros[4096];
    while (w->ok && w->at < to)
        write_bytes(w, zeros, to - w->at < sizeof zeros ? (size_t)(to - w->at) : sizeof zeros);
}

static Elf64_Shdr section(const char *name, uint32_t type, uint64_t flags, uint64_t at, uint64_t size,
                          uint64_t align) {
    return (Elf64_Shdr){.sh_name = name_offset(name),
                        .sh_type = type,
                        .sh_flags = flags,
                        .sh_offset = at,
                        .sh_size = size,
                        .sh_addralign = align};
}

static uint64_t round_up(uint64_t x, uint64_t to) { return (x + to - 1) / to * to; }

static void write_object(writer *w, const cg_target *t, const char *symbol, size_t size, int n,
                         const cg_piece *pieces) {
    uint64_t page = t->arch == CG_AARCH64 ? 65536 : 4096, data = page, symtab = round_up(data + size, 8);
    Elf64_Sym symbols[2] = {{0},
                            {.st_name = 1,
                             .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
                             .st_other = STV_HIDDEN,
                             .st_shndx = S_DATA,
                             .st_value = 0,
                             .st_size = size}};
    uint64_t strtab = symtab + sizeof symbols, nstr = strlen(symbol) + 2, names = strtab + nstr;
    uint64_t headers = round_up(names + sizeof section_names, 8);
    Elf64_Ehdr h = file_header(t, headers);
    Elf64_Shdr s[NSECTIONS] = {{0}};
    s[S_DATA] = section(".rodata.weights", SHT_PROGBITS, SHF_ALLOC, data, size, page);
    s[S_STACK] = section(".note.GNU-stack", SHT_PROGBITS, 0, symtab, 0, 1);
    s[S_SYMTAB] = section(".symtab", SHT_SYMTAB, 0, symtab, sizeof symbols, 8);
    s[S_SYMTAB].sh_link = S_STRTAB;
    s[S_SYMTAB].sh_info = 1; /* the first global symbol */
    s[S_SYMTAB].sh_entsize = sizeof(Elf64_Sym);
    s[S_STRTAB] = section(".strtab", SHT_STRTAB, 0, strtab, nstr, 1);
    s[S_NAMES] = section(".shstrtab", SHT_STRTAB, 0, names, sizeof section_names, 1);
    write_bytes(w, &h, sizeof h);
    for (int i = 0; i < n; i++) {
        write_zeros(w, data + pieces[i].offset);
        write_bytes(w, pieces[i].data, pieces[i].n);
    }
    write_zeros(w, symtab);
    write_bytes(w, symbols, sizeof symbols);
    write_bytes(w, "", 1);
    write_bytes(w, symbol, nstr - 1);
    write_bytes(w, section_names, sizeof section_names);
    write_zeros(w, headers);
    write_bytes(w, s, sizeof s);
}

static bool pieces_fit(size_t size, int n, const cg_piece *pieces) {
    size_t at = 0, end;
    for (int i = 0; i < n; i++) {
        if (pieces[i].offset < at || !rt_add_size(pieces[i].offset, pieces[i].n, &end) || end > size)
            return false;
        at = end;
    }
    return true;
}

bool cg_write_data_object(ir_context *c, const cg_target *t, const char *symbol, size_t size, int npieces,
                          const cg_piece *pieces, const char *path) {
    if (!pieces_fit(size, npieces, pieces)) {
        ir_error(c, 0, "internal: weights overlap or exceed their section");
        return false;
    }
    writer w = {fopen(path, "wb"), 0, true};
    if (w.f) write_object(&w, t, symbol, size, npieces, pieces);
    if (!w.f || fclose(w.f)) w.ok = false;
    if (w.ok) return true;
    ir_error(c, 0, "cannot write %s: %s", path, strerror(errno));
    if (w.f) remove(path);
    return false;
}

/* ---- reading */

static bool read_at(FILE *f, uint64_t at, void *p, size_t n) {
    return !fseeko(f, (off_t)at, SEEK_SET) && fread(p, 1, n, f) == n;
}

static bool has_undefined(FILE *f, const Elf64_Shdr *s) {
    Elf64_Sym symbol;
    for (uint64_t i = 1; i < s->sh_size / sizeof symbol; i++)
        if (read_at(f, s->sh_offset + i * sizeof symbol, &symbol, sizeof symbol) &&
            symbol.st_shndx == SHN_UNDEF && symbol.st_name)
            return true;
    return false;
}

bool cg_object_undefined(const char *path) {
    Elf64_Ehdr h;
    Elf64_Shdr s;
    bool found = false;
    FILE *f = fopen(path, "rb");
    if (f && read_at(f, 0, &h, sizeof h) && !memcmp(h.e_ident, ELFMAG, 4))
        for (int i = 0; i < h.e_shnum && !found; i++)
            if (read_at(f, h.e_shoff + (uint64_t)i * sizeof s, &s, sizeof s) && s.sh_type == SHT_SYMTAB)
                found = has_undefined(f, &s);
    if (f) fclose(f);
    return found;
}
