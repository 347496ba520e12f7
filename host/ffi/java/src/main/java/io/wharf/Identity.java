package io.wharf;

import java.util.List;

/**
 * Who asks, as the embedder says.
 *
 * @param user the login
 * @param groups the groups that the user is in
 */
public record Identity(String user, List<String> groups) {}
