# How the runtime is compiled and linked beforehand, for each target.
#
#   objects ─┬─ this machine's compiler ──▶ lib/qtale/x86_64-linux-gnu/NAME.o
#            └─ clang --target=TRIPLE ────▶ lib/qtale/aarch64-linux-gnu/NAME.o
#
# The second needs that target's C++ library; where it is missing, all else is
# built, and qtale-compile says what to install.

set(QTALE_RUNTIME_TRIPLE ${CMAKE_LIBRARY_ARCHITECTURE})
if(NOT QTALE_RUNTIME_TRIPLE)
  set(QTALE_RUNTIME_TRIPLE ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu)
endif()
find_program(QTALE_LLD NAMES ld.lld-22 ld.lld)
if(NOT QTALE_LLD)
  message(FATAL_ERROR "ld.lld was not found; install it (Debian: lld-22), or "
                      "give its path with -DQTALE_LLD=…")
endif()
find_program(QTALE_OBJCOPY NAMES llvm-objcopy-22 llvm-objcopy)
if(NOT QTALE_OBJCOPY)
  message(FATAL_ERROR "llvm-objcopy was not found; install it (Debian: "
                      "llvm-22), or give its path with -DQTALE_OBJCOPY=…")
endif()

# qtale_find_archives(variable options…)
#   The archives of the C++ library, by a compiler that gets these options;
#   what is missing is <variable>_MISSING.
function(qtale_find_archives variable)
  set(archives)
  set(missing)
  foreach(archive libstdc++.a libgcc_eh.a libgcc.a)
    execute_process(
      COMMAND ${CMAKE_CXX_COMPILER} ${ARGN} -print-file-name=${archive}
      OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(IS_ABSOLUTE "${path}" AND EXISTS "${path}")
      list(APPEND archives ${path})
    else()
      list(APPEND missing ${archive})
    endif()
  endforeach()
  set(${variable} ${archives} PARENT_SCOPE)
  set(${variable}_MISSING ${missing} PARENT_SCOPE)
endfunction()

set(QTALE_OWN_TARGET)
if(CMAKE_CXX_COMPILER_TARGET)
  set(QTALE_OWN_TARGET --target=${CMAKE_CXX_COMPILER_TARGET})
endif()
qtale_find_archives(QTALE_ARCHIVES ${QTALE_OWN_TARGET})
if(QTALE_ARCHIVES_MISSING)
  message(FATAL_ERROR "${QTALE_ARCHIVES_MISSING} was not found by "
                      "${CMAKE_CXX_COMPILER}; install it (Debian: "
                      "libstdc++-12-dev)")
endif()

# Other machines that artifacts can be made for.
set(QTALE_CROSS_TARGETS auto CACHE STRING
    "Triples to build the runtime for, besides this machine's; auto: those whose C++ library is found")
set(QTALE_CROSS_TRIPLES)
set(candidates ${QTALE_CROSS_TARGETS})
if(QTALE_CROSS_TARGETS STREQUAL auto)
  set(candidates aarch64-linux-gnu x86_64-linux-gnu)
  list(REMOVE_ITEM candidates ${QTALE_RUNTIME_TRIPLE})
endif()
foreach(triple IN LISTS candidates)
  set(why)
  set(debian arm64)
  if(triple STREQUAL x86_64-linux-gnu)
    set(debian amd64)
  endif()
  if(NOT triple MATCHES "^(aarch64|x86_64)-linux-gnu$")
    set(why "targets are aarch64-linux-gnu and x86_64-linux-gnu")
  elseif(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
    set(why "${CMAKE_CXX_COMPILER} compiles for this machine only; use Clang")
  else()
    qtale_find_archives(QTALE_ARCHIVES_${triple} --target=${triple})
    if(QTALE_ARCHIVES_${triple}_MISSING)
      set(why "its C++ library was not found; install it (Debian: libstdc++-12-dev-${debian}-cross)")
    endif()
  endif()
  if(NOT why)
    message(STATUS "Runtime for ${triple}: yes (--target=${triple})")
    list(APPEND QTALE_CROSS_TRIPLES ${triple})
  elseif(QTALE_CROSS_TARGETS STREQUAL auto)
    message(STATUS "Runtime for ${triple}: no: ${why}")
  else()
    message(FATAL_ERROR "No runtime for ${triple}: ${why}")
  endif()
endforeach()

# qtale_runtime_options(target)
#   How code that ends up in an artifact is compiled: hidden, so that two models
#   in a process never meet; a section per function, so that a link can drop
#   what it does not use; no asserts, which would end the host's process.
function(qtale_runtime_options target)
  target_compile_options(${target} PRIVATE
    -fvisibility=hidden -fvisibility-inlines-hidden -fPIC -ffunction-sections
    -fdata-sections -Wall -Wextra)
  target_compile_definitions(${target} PRIVATE NDEBUG)
  target_include_directories(${target} PUBLIC
    ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../../include)
endfunction()

# qtale_without_sanitizers(target)
#   For code that is loaded by programs which have not a sanitizer's runtime.
function(qtale_without_sanitizers target)
  if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_compile_options(${target} PRIVATE -fno-sanitize=all)
  endif()
endfunction()

# qtale_cross_library(library triple)
#   The same object library for another machine: <library>-<triple>. Or for this
#   one, without sanitizers.
function(qtale_cross_library library triple)
  if(TARGET ${library}-${triple})
    return()
  endif()
  get_target_property(folder ${library} SOURCE_DIR)
  get_target_property(sources ${library} SOURCES)
  list(TRANSFORM sources PREPEND ${folder}/)
  add_library(${library}-${triple} OBJECT ${sources})
  qtale_runtime_options(${library}-${triple})
  target_compile_options(${library}-${triple} PRIVATE --target=${triple})
  qtale_without_sanitizers(${library}-${triple})
endfunction()

# qtale_prelink_for(name triple LIBRARIES libraries… ARCHIVES archives…)
function(qtale_prelink_for name triple)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "LIBRARIES;ARCHIVES")
  set(objects)
  foreach(library IN LISTS arg_LIBRARIES)
    list(APPEND objects $<TARGET_OBJECTS:${library}>)
  endforeach()
  set(folder lib/qtale/${triple})
  set(output ${PROJECT_BINARY_DIR}/${folder}/${name}.o)
  # Compiled code calls these for float16 where the CPU has no instruction.
  set(undefined)
  set(helpers)
  if(triple MATCHES "^x86_64-")
    foreach(symbol __extendhfsf2 __truncsfhf2 __truncdfhf2)
      list(APPEND undefined -u ${symbol})
      list(APPEND helpers --keep-global-symbol=${symbol})
    endforeach()
  endif()
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/${folder}
    COMMAND ${QTALE_LLD} -r --strip-debug --force-group-allocation
            ${undefined} -o ${output} ${objects}
            --start-group ${arg_ARCHIVES} --end-group
    COMMAND ${QTALE_OBJCOPY} --keep-global-symbol=qtale_get_api ${helpers}
            --keep-global-symbol=qtale_rt_next_chunk
            --keep-global-symbol=qtale_rt_barrier
            --keep-global-symbol=qtale_rt_kv_reserve
            --keep-global-symbol=qtale_rt_mark --keep-global-symbol=main
            ${output}
    DEPENDS ${arg_LIBRARIES} ${objects}
    COMMENT "Prelinking ${folder}/${name}.o"
    COMMAND_EXPAND_LISTS VERBATIM)
  install(FILES ${output} DESTINATION ${folder})
endfunction()

# qtale_prelink(name OBJECTS libraries…)
#   Links object libraries and what they need of the C++ library into
#   lib/qtale/<triple>/<name>.o for each target, so that the object asks for
#   nothing but the C library. All symbols are local but those that compiled
#   code and the C start files call: it can be linked beside any other C++
#   library, and beside another of its kind. (Groups would be dropped for a
#   namesake's; they are dissolved.) They are without sanitizers, whose runtime no
#   host of an artifact has. Adds the target qtale-prelink-<name>, whose
#   OBJECT_FILE is this machine's; installs the objects.
function(qtale_prelink name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "OBJECTS")
  set(libraries ${arg_OBJECTS})
  if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    set(libraries)
    foreach(library IN LISTS arg_OBJECTS)
      qtale_cross_library(${library} ${QTALE_RUNTIME_TRIPLE})
      list(APPEND libraries ${library}-${QTALE_RUNTIME_TRIPLE})
    endforeach()
  endif()
  qtale_prelink_for(${name} ${QTALE_RUNTIME_TRIPLE}
    LIBRARIES ${libraries} ARCHIVES ${QTALE_ARCHIVES})
  set(own ${PROJECT_BINARY_DIR}/lib/qtale/${QTALE_RUNTIME_TRIPLE}/${name}.o)
  set(outputs ${own})
  foreach(triple IN LISTS QTALE_CROSS_TRIPLES)
    set(libraries)
    foreach(library IN LISTS arg_OBJECTS)
      qtale_cross_library(${library} ${triple})
      list(APPEND libraries ${library}-${triple})
    endforeach()
    qtale_prelink_for(${name} ${triple}
      LIBRARIES ${libraries} ARCHIVES ${QTALE_ARCHIVES_${triple}})
    list(APPEND outputs ${PROJECT_BINARY_DIR}/lib/qtale/${triple}/${name}.o)
  endforeach()
  add_custom_target(qtale-prelink-${name} ALL DEPENDS ${outputs})
  set_target_properties(qtale-prelink-${name} PROPERTIES OBJECT_FILE ${own})
endfunction()
