//! Strings and unquoted keys of JSON and JSON5.

use super::super::percent::hex_digit;
use super::{Dialect, Refused, is_line_end};

/// Appends the string that `text` continues with, up to `quote`; returns what follows the quote.
pub(super) fn read_string<'t>(
    text: &'t str,
    quote: char,
    dialect: Dialect,
    out: &mut String,
) -> Result<&'t str, Refused> {
    let mut rest = text;
    loop {
        let special = |letter: char| letter == quote || letter == '\\' || letter.is_ascii_control();
        let at = rest.find(special).ok_or(Refused)?;
        out.push_str(&rest[..at]);
        let letter = rest[at..].chars().next().ok_or(Refused)?;
        rest = &rest[at + letter.len_utf8()..];
        match letter {
            _ if letter == quote => return Ok(rest),
            '\\' => rest = read_escape(rest, dialect, out)?,
            '\n' | '\r' => return Err(Refused),
            '\u{7f}' => out.push(letter),
            // Upstream's reader takes raw control characters, strict JSON does not.
            _ if dialect == Dialect::Json5 => out.push(letter),
            _ => return Err(Refused),
        }
    }
}

/// Appends what the escape stands for whose backslash was read; returns what follows it.
fn read_escape<'t>(text: &'t str, dialect: Dialect, out: &mut String) -> Result<&'t str, Refused> {
    let letter = text.chars().next().ok_or(Refused)?;
    let rest = &text[letter.len_utf8()..];
    out.push(match letter {
        '"' | '\\' | '/' => letter,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return read_unicode(rest, out),
        _ if dialect == Dialect::Strict => return Err(Refused),
        'v' => '\u{b}',
        'x' => {
            let (unit, rest) = hex_unit(rest, 2)?;
            out.push(char::from_u32(unit).ok_or(Refused)?);
            return Ok(rest);
        }
        '0' if !rest.starts_with(|next: char| next.is_ascii_digit()) => '\0',
        '0'..='9' => return Err(Refused),
        // A line end after a backslash continues the string on the next line.
        '\r' => return Ok(rest.strip_prefix('\n').unwrap_or(rest)),
        _ if is_line_end(letter) => return Ok(rest),
        other => other,
    });
    Ok(rest)
}

/// The four digits behind `\u`, and the second half of a pair. A half alone becomes U+FFFD.
fn read_unicode<'t>(text: &'t str, out: &mut String) -> Result<&'t str, Refused> {
    let (unit, rest) = hex_unit(text, 4)?;
    if (0xd800..0xdc00).contains(&unit)
        && let Some(second) = rest.strip_prefix("\\u")
        && let Ok((low @ 0xdc00..0xe000, rest)) = hex_unit(second, 4)
    {
        let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        out.push(char::from_u32(code).ok_or(Refused)?);
        return Ok(rest);
    }
    out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
    Ok(rest)
}

fn hex_unit(text: &str, digits: usize) -> Result<(u32, &str), Refused> {
    let unit = text
        .as_bytes()
        .get(..digits)
        .ok_or(Refused)?
        .iter()
        .try_fold(0, |unit, byte| {
            hex_digit(*byte).map(|digit| unit << 4 | u32::from(digit))
        })
        .ok_or(Refused)?;
    Ok((unit, &text[digits..]))
}

/// Appends the unquoted key that `text` starts with; returns what follows it.
pub(super) fn read_identifier<'t>(text: &'t str, out: &mut String) -> Result<&'t str, Refused> {
    let start = out.len();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let first = out.len() == start;
        if let Some(escape) = rest.strip_prefix("\\u") {
            let (unit, after) = hex_unit(escape, 4)?;
            let letter = char::from_u32(unit).filter(|letter| belongs(*letter, first));
            out.push(letter.ok_or(Refused)?);
            rest = after;
        } else if belongs(letter, first) {
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
        } else {
            break;
        }
    }
    if out.len() == start {
        Err(Refused)
    } else {
        Ok(rest)
    }
}

/// Whether an identifier may contain `letter`, or start with it.
fn belongs(letter: char, first: bool) -> bool {
    match letter {
        '$' | '_' => true,
        '\u{200c}' | '\u{200d}' => !first,
        _ => letter.is_alphabetic() || (!first && letter.is_alphanumeric()),
    }
}
