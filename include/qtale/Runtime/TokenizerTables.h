//===- TokenizerTables.h - A tokenizer as flat bytes ----------------------===//
//
//   tokenizer.json --buildTokenizerTables--> bytes in the artifact
//                                              |
//                       tokenize / detokenize walk them where they lie
//
//   +--------+--------+-------+-------+-------+-------+----------+------+
//   | header | pieces | hash  | bytes | added | steps | patterns | text |
//   |        | by id  | tables| [256] | tokens|       | and maps |      |
//   +--------+--------+-------+-------+-------+-------+----------+------+
//
// All offsets count from the first byte of the header; numbers are
// little-endian and need no alignment; strings lie in `text`. The bytes hold
// no pointer, so that they are constant data wherever they are mapped.
//
// The way of a text, as Hugging Face tokenizers defines it:
//   1. cut at added tokens that are matched in the raw text
//   2. each rest runs through the normalizer's steps
//   3. cut at added tokens that are matched in normalized text
//   4. each rest is split into words by the pre-tokenizer's steps
//   5. byte-pair encoding: characters (or their bytes), then the merges in the
//      order of their rank, the leftmost first
//
// Vocabularies of byte level spell bytes with 256 printable characters ("Ġ" is
// a space). The compiler undoes that: pieces are the bytes themselves here.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_RUNTIME_TOKENIZERTABLES_H
#define QTALE_RUNTIME_TOKENIZERTABLES_H

#include <stdint.h>

namespace qtale::tokenizer {

constexpr char kMagic[8] = {'Q', 'T', 'A', 'L', 'E', 'T', 'O', 'K'};

/// Raised with every change of the layout. An artifact holds its own runtime,
/// so a difference means damaged bytes.
constexpr uint32_t kVersion = 2;

/// "No id", "no merge", "empty slot".
constexpr uint32_t kNone = 0xffffffffu;

/// Ids lie below; wide enough for every published vocabulary.
constexpr uint32_t kMaxIds = 1u << 24;

enum Flags : uint32_t {
  kByteFallback = 1 << 0,  /// characters without a piece become byte tokens
  kFuseUnk = 1 << 1,       /// neighbouring unknown characters share one token
  kIgnoreMerges = 1 << 2,  /// a word that is a piece is taken whole
  kByteLevel = 1 << 3,     /// the symbols of a word are its bytes
  kBeginsWithBos = 1 << 4, /// a text has its BOS, if there is one, before it
};

/// `count` elements from byte `offset` on.
struct Section {
  uint32_t offset;
  uint32_t count;
};

/// Bytes of a string, within the table.
struct Text {
  uint32_t offset;
  uint32_t length;
};

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t bytes; /// of everything
  uint32_t flags;
  uint32_t unk;         /// id of the unknown token, or kNone
  uint32_t bos;         /// begin of sequence, or kNone
  uint32_t wordPattern; /// the Pattern of one letter of a word, or kNone
  Section pieces;       /// Piece, by id
  Section pieceHash;    /// uint32_t: ids; a power of two, linear probing
  Section mergeHash;    /// Merge; likewise
  Section byteIds;      /// uint32_t [256]: the id of a byte
  Section rawAdded;     /// Added, by their bytes
  Section normAdded;    /// Added, likewise; matched in normalized text
  Section normalize;    /// Step
  Section split;        /// Step
  Section decode;       /// Step
  Section patterns;     /// Pattern
  Section maps;         /// Section of Mapping, by character
  Section combining;    /// CombiningRange, ascending
  Section compositions; /// Composition, ascending
};

struct Piece {
  Text text; /// offset kNone: there is no such id
  uint32_t flags;
};

enum PieceFlags : uint32_t {
  kSpecial = 1 << 0, /// gives no text
};

/// The neighbours `left` and `right` become `result`. A slot whose result is
/// kNone is empty.
struct Merge {
  uint32_t left;
  uint32_t right;
  uint32_t rank;
  uint32_t result;
};

struct Added {
  Text text;
  uint32_t id;
  uint32_t flags;
};

enum AddedFlags : uint32_t {
  kStripLeft = 1 << 0,  /// takes the white space before it along
  kStripRight = 1 << 1, /// and after it
  kSingleWord = 1 << 2, /// only where no letter stands beside it
};

enum class StepKind : uint32_t {
  Prepend = 1,        /// normalize: `to` before a text that is not empty
  Replace = 2,        /// normalize, decode: every `from` becomes `to`
  ReplacePattern = 3, /// likewise: every match of pattern `index`
  Strip = 4,          /// normalize: white space off the ends (flags);
                      /// decode: `from` off a token, `flags` times
  Map = 5,            /// normalize: characters by map `index`
  Decompose = 6,      /// normalize: by map `index`, marks in canonical order
  Compose = 7,        /// normalize: Decompose, then joined again
  PrefixSpace = 8,    /// split: a space before a word without one
  Metaspace = 9,      /// split: " " becomes `from`, one before it (flags);
                      /// decode: `from` is `to`, in the first token nothing
  Split = 10,         /// split: at the matches of pattern `index` (flags)
  ByteFallback = 11,  /// decode: a token <0xHH> is that byte
  StripEnd = 12,      /// decode: `from` off the end of a token, `flags` times
  StripText = 13,     /// decode: one `from` off the begin of the whole text
};

struct Step {
  StepKind kind;
  uint32_t flags;
  uint32_t index;
  Text from;
  Text to;
};

/// Of StepKind::Strip, in normalize.
enum StripFlags : uint32_t { kLeft = 1 << 0, kRight = 1 << 1 };

/// Of StepKind::Metaspace.
enum MetaspaceFlags : uint32_t {
  kSplitWords = 1 << 0,    /// every marker begins a new word
  kPrependFirst = 1 << 1,  /// a marker before the text
  kPrependAlways = 1 << 2, /// also after each added token
};

/// Of StepKind::Split: what becomes of a match.
enum SplitFlags : uint32_t {
  kIsolated = 0, /// a word of its own
  kRemoved = 1,
  kMergedWithPrevious = 2,
  kMergedWithNext = 3,
  kContiguous = 4, /// matches side by side are one word
  kBehavior = 7,   /// the bits of the above
  kInvert = 8,     /// matches are what stands between
};

/// A regular expression, as a deterministic automaton over classes of
/// characters. Entry [state][class of the next character] says where to go,
/// and (kAccept) that a match ends before that character.
struct Pattern {
  Section ranges; /// ClassRange, ascending from 0
  Section ascii;  /// uint8_t [128]: the class of each
  Section table;  /// uint16_t [states * classes]
  Section starts; /// uint16_t [classes]: by the character before
  uint32_t classes;
  uint32_t end; /// the class that stands for both ends of a text
};

struct ClassRange {
  uint32_t first; /// up to the next range
  uint32_t klass;
};

constexpr uint16_t kAccept = 0x8000;
constexpr uint16_t kDead = 0x7fff;

struct Mapping {
  uint32_t from;
  Text to;
};

struct CombiningRange {
  uint32_t first, last;
  uint32_t order;
};

struct Composition {
  uint32_t first, second;
  uint32_t result;
};

/// FNV-1a, of a piece.
inline uint32_t hashPiece(const char *text, uint64_t length) {
  uint32_t hash = 2166136261u;
  for (uint64_t i = 0; i < length; ++i)
    hash = (hash ^ static_cast<uint8_t>(text[i])) * 16777619u;
  return hash ^ hash >> 15;
}

/// Fibonacci hashing, of a pair of ids.
inline uint32_t hashPair(uint32_t left, uint32_t right) {
  uint64_t key = (uint64_t(left) << 32 | right) * 0x9e3779b97f4a7c15ull;
  return static_cast<uint32_t>(key >> 32);
}

} // namespace qtale::tokenizer

#endif // QTALE_RUNTIME_TOKENIZERTABLES_H
