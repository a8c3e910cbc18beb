"""The AWS edge: boto3 in, model values out; foreign errors never leave it."""
