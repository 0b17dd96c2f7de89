//! Billing: which projects are over a limit, and how much each project uses (`storage.md` 6.5, 6.6, 11).
