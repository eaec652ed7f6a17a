/* unicode_digests.h -- FNV-1a over the answers of tokenizers 0.23.3 to every code point; made by tools/gen-unicode */
#pragma once

#define DIGEST_CATEGORY        UINT64_C(0xf48e88415296da37)
#define DIGEST_WHITE_SPACE     UINT64_C(0x05d570bb8c3ec7ac)
#define DIGEST_WORD            UINT64_C(0x360216108bd9fb7c)
#define DIGEST_HAN             UINT64_C(0x4dce8d7387bc4fa5)
#define DIGEST_NUMERIC         UINT64_C(0x1cccd777e18ba96f)
#define DIGEST_PUNCTUATION     UINT64_C(0x62d9a6d8c535de1b)
#define DIGEST_MARK            UINT64_C(0x3f555a064286f126)
#define DIGEST_MARK_NONSPACING UINT64_C(0x010fb5f2cdb76548)
#define DIGEST_OTHER           UINT64_C(0xa019908a5c68a538)
#define DIGEST_SCRIPT          UINT64_C(0xdcbb3b50675f7066)
#define DIGEST_LOWER           UINT64_C(0xf7ae6b51663098c3)
