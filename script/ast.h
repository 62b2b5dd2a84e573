/* ast.h: tokens and syntax trees of the script language, shared by the lexer, the parser and the emitter.
 *
 * One node type with children; the comment beside each kind says what the children are.  A child may be NULL where
 * the comment says "or none".  Nodes live in the context's arena.  `depth` is the height of the tree below a node:
 * the parser refuses more than AST_MAX_DEPTH, so that every walk may recurse. */
#ifndef JITC_SCRIPT_AST_H
#define JITC_SCRIPT_AST_H

#include "script/script.h"

enum { AST_MAX_DEPTH = 400, AST_MAX_NESTING = 200 };

typedef struct script_file {
    const char *name;   /* as the user named it */
    const char *prefix; /* namespace of its definitions, "" for a user script */
    const char *text;
    size_t n;
    rt_map imports;     /* local name -> dotted path (char *) */
    bool bad;           /* has syntax errors */
    int ords;           /* counter of script_ast.ord */
} script_file;

/* ---- tokens */
typedef enum lex_kind {
    LEX_END, LEX_NEWLINE, LEX_INDENT, LEX_DEDENT, LEX_NAME, LEX_INT, LEX_FLOAT, LEX_STR, LEX_FSTR, LEX_OP
} lex_kind;

typedef struct lex_token {
    lex_kind kind;
    int line, col, end_col; /* from 1; end exclusive, on the same line (strings over several lines: 0) */
    const char *s;          /* name, operator: interned; strings: decoded value; f-strings: raw text between the quotes */
    size_t n;
    int64_t i;
    double f;
    bool raw;               /* f-string with r prefix */
    bool huge;              /* 2**63: only after a minus */
} lex_token;

/* All tokens of a text, ended by LEX_END.  Errors are diagnostics; *bad is set then.  (line, col): where text starts. */
lex_token *script_lex(ir_context *c, script_file *file, const char *text, size_t n, int line, int col, bool inner,
                      int *count, bool *bad);
/* Decodes backslash escapes (those of Python's str). */
void script_unescape(ir_context *c, const char *s, size_t n, bool raw, const char **out, size_t *len);

/* ---- trees */
typedef enum ast_kind {
    /* expressions */
    AST_NAME,      /* name */
    AST_INT,       /* i */
    AST_FLOAT,     /* f */
    AST_STR,       /* s, len */
    AST_FSTR,      /* pieces: AST_STR or expressions */
    AST_BOOL,      /* i */
    AST_NONE,
    AST_ELLIPSIS,
    AST_TUPLE,     /* elements */
    AST_LIST,      /* elements */
    AST_DICT,      /* key, value, key, value ... */
    AST_ATTR,      /* object; name */
    AST_SUBSCRIPT, /* object, index (AST_TUPLE for several) */
    AST_SLICE,     /* begin, end, step: each or none */
    AST_CALL,      /* callee, arguments: expressions, AST_STAR, AST_KEYWORD */
    AST_KEYWORD,   /* value; name */
    AST_STAR,      /* value */
    AST_UNARY,     /* operand; name is "-", "+" or "~" */
    AST_BINARY,    /* left, right; name is the operator */
    AST_AND, AST_OR, /* left, right */
    AST_NOT,       /* operand */
    AST_COMPARE,   /* operands; ops[i] stands between i and i + 1 */
    AST_COND,      /* condition, value if true, value if false */
    AST_COMP,      /* element or key, value or none, AST_CLAUSE ... */
    AST_CLAUSE,    /* target, iterable, condition or none */
    /* statements */
    AST_BLOCK,     /* statements */
    AST_EXPR,      /* expression */
    AST_ASSIGN,    /* targets ..., value */
    AST_ANNOTATED, /* target, type, value or none */
    AST_AUGMENTED, /* target, value; name is the operator without "=" */
    AST_RETURN,    /* value or none */
    AST_IF,        /* condition, block, block or none */
    AST_WHILE,     /* condition, block */
    AST_FOR,       /* target, iterable, block */
    AST_BREAK, AST_CONTINUE, AST_PASS,
    AST_ASSERT,    /* condition, message or none */
    AST_RAISE,     /* exception or none */
    AST_WITH,      /* block, then pairs: expression, target or none */
    AST_DELETE,    /* targets */
    AST_DEF,       /* AST_PARAMS, return type or none, block, decorators ...; name */
    AST_PARAMS,    /* AST_PARAM ... */
    AST_PARAM,     /* type or none, default or none; name; i: AST_P_* */
    AST_CLASS,     /* AST_TUPLE of bases, block, decorators ...; name */
} ast_kind;

enum { AST_P_KWONLY = 1, AST_P_STAR = 2, AST_P_STAR2 = 4 };

typedef struct script_ast script_ast;
struct script_ast {
    ast_kind kind;
    int depth;
    int line, col, end_col;
    int ord, last;       /* numbers of the nodes of a file in the order of the text; last: greatest within this node */
    ir_span span;        /* 0 until asked for */
    script_file *file;
    const char *name;
    size_t len;
    union {
        int64_t i;
        double f;
        const char *s;
    };
    int n;
    script_ast **kid;
    const char **ops;
};

ir_span script_span(ir_context *c, script_ast *a);
/* The statements of a file as an AST_BLOCK (never NULL; file->bad after errors). */
script_ast *script_parse_file(ir_context *c, script_file *file);
/* One expression; NULL after a diagnostic. */
script_ast *script_parse_expr(ir_context *c, script_file *file, const char *text, size_t n, int line, int col);

#endif
