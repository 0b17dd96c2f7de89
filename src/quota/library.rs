//! Which software a request came from, as usage is broken down by it (`storage.md` 6.6).

/// A library by the name that usage is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Library {
    /// Not recognised.
    Other,
    /// `posthog-js`, and browsers.
    Js,
    /// `posthog-node`.
    Node,
    /// `posthog-python`.
    Python,
    /// `posthog-php`.
    Php,
    /// `posthog-ruby`.
    Ruby,
    /// `posthog-go`.
    Go,
    /// `posthog-java`.
    Java,
    /// `posthog-server`, the newer one for the JVM.
    Server,
    /// `posthog-dotnet`.
    Dotnet,
    /// `posthog-elixir`.
    Elixir,
    /// `posthog-android`.
    Android,
    /// `posthog-ios`.
    Ios,
    /// `posthog-react-native`.
    ReactNative,
    /// `posthog-flutter`.
    Flutter,
}

impl Library {
    /// Every library, by its number.
    const ALL: [Self; 15] = [
        Self::Other,
        Self::Js,
        Self::Node,
        Self::Python,
        Self::Php,
        Self::Ruby,
        Self::Go,
        Self::Java,
        Self::Server,
        Self::Dotnet,
        Self::Elixir,
        Self::Android,
        Self::Ios,
        Self::ReactNative,
        Self::Flutter,
    ];

    /// As in the names of usage keys.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Js => "posthog-js",
            Self::Node => "posthog-node",
            Self::Python => "posthog-python",
            Self::Php => "posthog-php",
            Self::Ruby => "posthog-ruby",
            Self::Go => "posthog-go",
            Self::Java => "posthog-java",
            Self::Server => "posthog-server",
            Self::Dotnet => "posthog-dotnet",
            Self::Elixir => "posthog-elixir",
            Self::Android => "posthog-android",
            Self::Ios => "posthog-ios",
            Self::ReactNative => "posthog-react-native",
            Self::Flutter => "posthog-flutter",
        }
    }

    /// The library of a number that came from `as u8`.
    pub(super) fn of_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::Library;

    #[test]
    fn numbers_lead_back_and_names_differ() {
        let mut names = std::collections::HashSet::new();
        for (number, library) in Library::ALL.into_iter().enumerate() {
            assert_eq!(library as usize, number);
            assert_eq!(Library::of_number(library as u8), library);
            assert!(names.insert(library.name()));
        }
    }
}
