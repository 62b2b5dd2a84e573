file(READ ${SOURCE} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${TARGET} "extern const char jitc_embedded_${NAME}[];\nextern const unsigned long jitc_embedded_${NAME}_size;\n"
  "const char jitc_embedded_${NAME}[] = {\n${bytes}0};\nconst unsigned long jitc_embedded_${NAME}_size = ${size};\n")
