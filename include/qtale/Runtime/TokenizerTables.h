//===- TokenizerTables.h - A tokenizer as flat bytes ----------------------===//
//
//   tokenizer.json --buildTokenizerTables--> bytes in the artifact
//                                              |
//                       tokenize / detokenize walk them where they lie
//
//   +--------+--------+----------+--------+-------+--------+-------+------+
//   | header | pieces | piece    | merge  | bytes | added  | steps | text |
//   |        | by id  | hash     | hash   | [256] | tokens |       |      |
//   +--------+--------+----------+--------+-------+--------+-------+------+
//
// All offsets count from the first byte of the header; numbers are
// little-endian and need no alignment; strings lie in `text`. The bytes hold
// no pointer, so that they are constant data wherever they are mapped.
//
// The way of a text, as Hugging Face tokenizers defines it:
//   1. cut at added tokens that are matched in the raw text
//   2. each rest runs through the normalizer's steps
//   3. cut at added tokens that are matched in normalized text
//   4. each rest runs through Metaspace, if the tokenizer has it
//   5. byte-pair encoding: characters (or their bytes), then the merges in the
//      order of their rank, the leftmost first
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_RUNTIME_TOKENIZERTABLES_H
#define QTALE_RUNTIME_TOKENIZERTABLES_H

#include <stdint.h>

namespace qtale::tokenizer {

constexpr char kMagic[8] = {'Q', 'T', 'A', 'L', 'E', 'T', 'O', 'K'};

/// Raised with every change of the layout. An artifact holds its own runtime,
/// so a difference means damaged bytes.
constexpr uint32_t kVersion = 1;

/// "No id", "no merge", "empty slot".
constexpr uint32_t kNone = 0xffffffffu;

/// Ids lie below; wide enough for every published vocabulary.
constexpr uint32_t kMaxIds = 1u << 24;

enum Flags : uint32_t {
  kByteFallback = 1 << 0,  /// characters without a piece become byte tokens
  kFuseUnk = 1 << 1,       /// neighbouring unknown characters share one token
  kIgnoreMerges = 1 << 2,  /// a word that is a piece is taken whole
  kMetaspace = 1 << 3,     /// the pre-tokenizer is Metaspace
  kSplit = 1 << 4,         /// Metaspace: every marker begins a new word
  kPrependFirst = 1 << 5,  /// Metaspace: a marker before the text
  kPrependAlways = 1 << 6, /// Metaspace: also after each added token
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
  uint32_t unk;      /// id of the unknown token, or kNone
  uint32_t bos;      /// begin of sequence, or kNone
  Text marker;       /// Metaspace's replacement, "▁"
  Section pieces;    /// Piece, by id
  Section pieceHash; /// uint32_t: ids; a power of two, linear probing
  Section mergeHash; /// Merge; likewise
  Section byteIds;   /// uint32_t [256]: the id of <0xHH>
  Section rawAdded;  /// Added, by first byte, then longest first
  Section normAdded; /// Added, likewise; matched in normalized text
  Section normalize; /// Step
  Section decode;    /// Step
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
};

enum class StepKind : uint32_t {
  Prepend = 1,      /// normalize: `to` before a text that is not empty
  Replace = 2,      /// every `from` becomes `to`
  ByteFallback = 3, /// decode: a token <0xHH> is that byte
  Strip = 4,        /// decode: one `from` off the begin of the whole text
  Metaspace = 5,    /// decode: `from` is `to`, in the first token nothing
};

struct Step {
  StepKind kind;
  Text from;
  Text to;
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
