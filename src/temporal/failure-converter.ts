import { DefaultFailureConverter } from '@temporalio/common';

/** Messages and stacks of failures go through the codec like every payload. Loaded by its path, also into the workflows' bundle. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
