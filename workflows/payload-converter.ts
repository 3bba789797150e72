/**
 * How workflows read what reaches them. Anyone with a Temporal credential can signal bytes that cannot be decoded; the
 * SDK's own converter throws there, before any handler, and was measured to jam a rollout for good, abort included.
 */
import {
  defaultPayloadConverter,
  type ConverterHint,
  type Payload,
  type PayloadConverter,
  type SerializationContext,
} from '@temporalio/common';

/** Stands for what could not be decoded: no reader of ours accepts it, and evidence shows what it was. */
const UNREADABLE = Object.freeze({ unreadable: 'a payload that could not be decoded' });

/** The name is what the SDK looks for. */
export const payloadConverter: PayloadConverter = {
  toPayload: (value, context, hint) => defaultPayloadConverter.toPayload(value, context, hint),
  fromPayload<T>(payload: Payload, context?: SerializationContext, hint?: ConverterHint<T>): T {
    try {
      return defaultPayloadConverter.fromPayload(payload, context, hint);
    } catch (error) {
      // A result that cannot be decoded must never pass for one: there the task fails, and is tried again.
      if (context?.type === 'activity') throw error;
      return UNREADABLE as T;
    }
  },
};
