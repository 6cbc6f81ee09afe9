"""The tokenizers that can be learnt: how each normalises texts, divides them, and marks its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.models import Model
    from transformers import PreTrainedTokenizerFast

TokenKind = Literal["wordpiece", "unigram", "words"]

PAD, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # numbered from 0
CONTINUES = "##"  # before a token of wordpiece that continues a word
SPACE = "\u2581"  # before a token of unigram that begins a word
LONGEST_WORD = 100  # letters; wordpiece has no tokens for longer words


def empty_tokenizer(kind: TokenKind, *, lowercase: bool) -> Tokenizer:
    """Return a tokenizer that normalises and divides texts but has no tokens yet.

    `wordpiece` divides at spaces and punctuation, and around every Chinese character; `unigram` at spaces and
    punctuation, so that its tokens may have several Chinese characters; `words` at spaces alone, and its
    tokens are the words as they are. Accents are kept, because they tell words apart in most languages.
    """
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({}, UNKNOWN))
    if kind == "words":
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        return tokenizer
    chinese = kind == "wordpiece"
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.BertNormalizer(
                handle_chinese_chars=chinese, strip_accents=False, lowercase=lowercase
            ),
        ]
    )
    if kind == "wordpiece":
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
        )
    return tokenizer


def finished(tokenizer: Tokenizer, model: Model, max_length: int) -> PreTrainedTokenizerFast:
    """Return the tokenizer with the tokens of `model`, for transformers; texts become [CLS] ... [SEP],
    at most `max_length` tokens.
    """
    from tokenizers import AddedToken, decoders, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer.model = model
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        pair=f"{START} $A {END} $B:1 {END}:1",
        special_tokens=[(name, SPECIAL.index(name)) for name in (START, END)],
    )
    kind = type(model).__name__
    if kind == "WordPiece":
        tokenizer.decoder = decoders.WordPiece(prefix=CONTINUES)
    elif kind == "Unigram":
        tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        cls_token=START,
        sep_token=END,
        mask_token=MASK,
        model_max_length=max_length,
    )
