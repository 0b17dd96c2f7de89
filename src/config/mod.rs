//! Variable names, pure parsers, one typed `Config`.
