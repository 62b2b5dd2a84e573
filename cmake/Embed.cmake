# embed(FILE NAME OUT): makes a C source that defines `const char jitc_embedded_NAME[]` (NUL-terminated text of FILE)
# and `const unsigned long jitc_embedded_NAME_size`, and appends its path to the list variable OUT.
function(embed file name out)
  set(source ${CMAKE_SOURCE_DIR}/${file})
  set(target ${CMAKE_BINARY_DIR}/embedded_${name}.c)
  add_custom_command(
    OUTPUT ${target}
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${source} -DTARGET=${target} -DNAME=${name} -P ${CMAKE_SOURCE_DIR}/cmake/EmbedFile.cmake
    DEPENDS ${source} ${CMAKE_SOURCE_DIR}/cmake/EmbedFile.cmake
    VERBATIM)
  set(${out} ${${out}} ${target} PARENT_SCOPE)
endfunction()
