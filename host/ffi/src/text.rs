//! Texts that cross the border.

use std::ffi::{CStr, CString, c_char};

use wharf::model::Fault;

/// A text of the caller's.
///
/// # Safety
/// It is null, or ends with a zero byte and stays as it is while the result is used.
pub(crate) unsafe fn take<'a>(text: *const c_char, name: &str) -> Result<&'a str, Fault> {
    if text.is_null() {
        return Err(Fault::new("usage", format!("`{name}` is null")));
    }
    // SAFETY: it isn't null, and as this function's callers promise.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .map_err(|error| Fault::new("usage", format!("`{name}` isn't UTF-8: {error}")))
}

/// A text that is the caller's from now on. JSON has no zero bytes, for it escapes them; should there be any, they are left out.
pub(crate) fn give(text: String) -> *mut c_char {
    let mut bytes = text.into_bytes();
    bytes.retain(|&byte| byte != 0);
    CString::new(bytes).unwrap_or_default().into_raw()
}

/// Takes a text back.
///
/// # Safety
/// It is null, or one that [`give`] made and that wasn't taken back yet.
pub(crate) unsafe fn free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: as this function's callers promise.
        drop(unsafe { CString::from_raw(text) });
    }
}
