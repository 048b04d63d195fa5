/** Annotations that Cutover writes on objects of the cluster. */

/** On what Cutover created: the migration that did. Undo deletes nothing without it. */
export const createdBy = 'cutover.dev/migration';
/** On what existed before: what was found there, as JSON, so that it can be put back. Written once, never overwritten. */
export const foundState = 'cutover.dev/found';
